// JSON answers.
import type { Reply } from '../operation.ts';

export const jsonContentType = 'application/json';

export function jsonReply(status: number, body: unknown, headers?: Readonly<Record<string, string>>): Reply {
  return { status, contentType: jsonContentType, body: JSON.stringify(body), ...(headers && { headers }) };
}
