// The error object of the open inference protocol: one text.
import Type from 'typebox';
import { errorTable, type ServerError } from '../../errors.ts';
import type { Reply } from '../../operation.ts';
import { jsonReply } from '../json-reply.ts';

export const kserveGroup = 'KServe';

export const KserveError = Type.Object({ error: Type.String() });

export function kserveError(error: ServerError): Reply {
  return jsonReply(errorTable[error.code].http, { error: error.message });
}
