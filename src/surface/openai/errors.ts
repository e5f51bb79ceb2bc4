// The error object of the OpenAI API: nested, all four keys always there (openai-openapi, ErrorResponse).
import Type from 'typebox';
import { errorTable, type ErrorCode, type ServerError } from '../../errors.ts';
import type { Reply } from '../../operation.ts';
import { jsonReply } from '../json-reply.ts';

export const OpenaiError = Type.Object({
  error: Type.Object({
    message: Type.String(),
    type: Type.String(),
    param: Type.Union([Type.String(), Type.Null()]),
    code: Type.Union([Type.String(), Type.Null()]),
  }),
});

/** Codes that clients of OpenAI know; others carry our own in lower case. */
const knownCodes: Partial<Record<ErrorCode, string>> = {
  UNAUTHENTICATED: 'invalid_api_key',
  MODEL_NOT_FOUND: 'model_not_found',
  MODEL_NOT_ALLOWED: 'model_not_found',
  RATE_LIMITED: 'rate_limit_exceeded',
  QUEUE_FULL: 'rate_limit_exceeded',
  INPUT_TOO_LONG: 'context_length_exceeded',
};

export function openaiError(error: ServerError): Reply {
  const { http } = errorTable[error.code];
  return jsonReply(http, {
    error: {
      message: error.message,
      type: errorType(http),
      param: error.field ?? null,
      code: knownCodes[error.code] ?? error.code.toLowerCase(),
    },
  });
}

function errorType(http: number): string {
  if (http === 401 || http === 403) return 'authentication_error';
  if (http === 429) return 'rate_limit_error';
  return http < 500 ? 'invalid_request_error' : 'server_error';
}
