// The error object of text-embeddings-inference: flat, with its own kinds and statuses (its router/src/http).
import Type from 'typebox';
import { errorTable, type ErrorCode, type ServerError } from '../../errors.ts';
import type { Reply } from '../../operation.ts';
import { jsonReply } from '../json-reply.ts';

export const TeiError = Type.Object({ error: Type.String(), error_type: Type.String() });

/** Where its clients expect another status than the table's. */
export const teiStatuses: Partial<Record<ErrorCode, number>> = {
  REQUEST_INVALID: 422,
  INPUT_TOO_LONG: 413,
  BATCH_TOO_LARGE: 413,
  TOKEN_OUT_OF_RANGE: 422,
  DIMENSIONS_UNSUPPORTED: 422,
};

const kinds: Partial<Record<ErrorCode, string>> = {
  INPUT_EMPTY: 'Empty',
  JSON_INVALID: 'Validation',
  QUEUE_FULL: 'Overloaded',
  RATE_LIMITED: 'Overloaded',
  OVERLOADED: 'Overloaded',
  MODEL_NOT_READY: 'Unhealthy',
  BACKEND_FAILED: 'Backend',
  INTERNAL: 'Backend',
  TIMEOUT: 'Backend',
};

export function teiError(error: ServerError): Reply {
  const status = teiStatuses[error.code] ?? errorTable[error.code].http;
  return jsonReply(status, { error: error.message, error_type: kinds[error.code] ?? 'Validation' });
}
