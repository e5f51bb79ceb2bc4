// What may stand in a header. Invariant: nothing that came from outside reaches a header but through headerValue.
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import { requestIdCharsMax } from '../limits.ts';

const printableAscii = /^[\x20-\x7e]*$/;
const requestIdPattern = new RegExp(`^[\\w.:-]{1,${requestIdCharsMax}}$`);

/** `value` when it is printable ASCII, else undefined: a line end in it would let a client write our answer. */
export function headerValue(value: string): string | undefined {
  return printableAscii.test(value) ? value : undefined;
}

/** The client's own id when it is one, else a new one. */
export function requestIdOf(offered: string): string {
  return requestIdPattern.test(offered) ? offered : randomUUID();
}

const statusLines = new Map(
  Object.entries(STATUS_CODES).map(([status, text]) => [Number(status), `${status} ${text}`]),
);
// Known from nginx, absent in Node's list. Nobody receives it, yet observers and tests may ask.
statusLines.set(499, '499 Client Closed Request');

export function statusLine(status: number): string {
  return statusLines.get(status) ?? `${status} Unknown`;
}

/** https://www.rfc-editor.org/rfc/rfc9110#name-retry-after counts in seconds; less than one would mean at once. */
export function retryAfterSeconds(retryAfterMs: number): string {
  return String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
}

/** OpenAI's form of a duration, `1s` or `6m0s`, rounded up. */
export function resetDuration(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

/** https://www.w3.org/TR/server-timing/ in milliseconds with one decimal. */
export function serverTiming(
  timings: { queueMs?: number; tokenizeMs?: number; inferenceMs?: number }, totalMs: number,
): string {
  const { queueMs, tokenizeMs, inferenceMs } = timings;
  let text = '';
  if (queueMs !== undefined) text += `queue;dur=${tenths(queueMs)}, `;
  if (tokenizeMs !== undefined) text += `tokenize;dur=${tenths(tokenizeMs)}, `;
  if (inferenceMs !== undefined) text += `inference;dur=${tenths(inferenceMs)}, `;
  return `${text}total;dur=${tenths(totalMs)}`;
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
