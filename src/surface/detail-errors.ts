// The error object of the services that were built on Litestar and FastAPI: `detail`, and which field.
import Type from 'typebox';
import { errorTable, type ServerError } from '../errors.ts';
import type { Reply } from '../operation.ts';
import { jsonReply } from './json-reply.ts';

export const DetailError = Type.Object({
  status_code: Type.Integer(),
  detail: Type.String(),
  code: Type.String({ description: "The server's own code for the error." }),
  extra: Type.Optional(Type.Array(Type.Object({ key: Type.String(), message: Type.String() }))),
});

export function detailError(error: ServerError): Reply {
  const { http } = errorTable[error.code];
  return jsonReply(http, {
    status_code: http,
    detail: error.message,
    code: error.code,
    ...(error.field !== undefined && { extra: [{ key: error.field, message: error.message }] }),
  });
}
