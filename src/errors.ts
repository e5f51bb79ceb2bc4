// Every error a client can see: one table, one class. Stands at the bottom of the line; imports only limits.
// Invariant: a surface chooses only the JSON shape of an error, never its status or its meaning.

import { retryAfterMsMin } from './limits.ts';

type Row = {
  /** HTTP status. */
  readonly http: number;
  /** gRPC status code, https://grpc.io/docs/guides/status-codes/. */
  readonly grpc: number;
  /** Whether the same request may succeed later without a change. */
  readonly retry: boolean;
  /** The text when the thrower gives no detail. */
  readonly message: string;
};

export const errorTable = {
  REQUEST_INVALID: { http: 400, grpc: 3, retry: false, message: 'The request does not match the schema.' },
  JSON_INVALID: { http: 400, grpc: 3, retry: false, message: 'The body is not valid JSON.' },
  FRAMING_INVALID: { http: 400, grpc: 3, retry: false, message: 'The HTTP framing headers are contradictory.' },
  INPUT_EMPTY: { http: 400, grpc: 3, retry: false, message: 'The input must not be empty.' },
  INPUT_TOO_LONG: { http: 400, grpc: 3, retry: false, message: 'An input is too long.' },
  BATCH_TOO_LARGE: { http: 400, grpc: 3, retry: false, message: 'The request has too many inputs.' },
  TOKEN_OUT_OF_RANGE: { http: 400, grpc: 3, retry: false, message: 'A token id is not in the vocabulary.' },
  DIMENSIONS_UNSUPPORTED: { http: 400, grpc: 3, retry: false, message: 'The model cannot give that many dimensions.' },
  MODEL_INVALID: { http: 400, grpc: 3, retry: false, message: 'The model cannot be used.' },
  UNAUTHENTICATED: { http: 401, grpc: 16, retry: false, message: 'An API key is needed.' },
  FORBIDDEN: { http: 403, grpc: 7, retry: false, message: 'The API key may not do that.' },
  ADMIN_DISABLED: { http: 403, grpc: 7, retry: false, message: 'Administration needs API keys on this server, or ALLOW_ADMIN_WITHOUT_KEYS=true.' },
  MODEL_NOT_ALLOWED: { http: 403, grpc: 7, retry: false, message: 'This server does not allow that model.' },
  UPLOAD_DISABLED: { http: 403, grpc: 7, retry: false, message: 'This server takes no uploads; ALLOW_UPLOAD=true lets it.' },
  ROUTE_NOT_FOUND: { http: 404, grpc: 12, retry: false, message: 'There is no such path.' },
  MODEL_NOT_FOUND: { http: 404, grpc: 5, retry: false, message: 'There is no such model.' },
  ENTRY_NOT_FOUND: { http: 404, grpc: 5, retry: false, message: 'There is no such cache entry.' },
  JOB_NOT_FOUND: { http: 404, grpc: 5, retry: false, message: 'There is no such job.' },
  METHOD_NOT_ALLOWED: { http: 405, grpc: 12, retry: false, message: 'The path does not take that method.' },
  MODEL_EXISTS: { http: 409, grpc: 6, retry: false, message: 'There is a model of that name and version.' },
  REQUEST_TOO_LARGE: { http: 413, grpc: 8, retry: false, message: 'The request body is too large.' },
  ENCODING_UNSUPPORTED: { http: 415, grpc: 3, retry: false, message: 'The content encoding is not supported.' },
  RANGE_UNSATISFIABLE: { http: 416, grpc: 11, retry: false, message: 'The file is shorter than that.' },
  UPGRADE_REQUIRED: { http: 426, grpc: 12, retry: false, message: 'This path is for WebSocket.' },
  QUEUE_FULL: { http: 429, grpc: 8, retry: true, message: 'The queue is full.' },
  RATE_LIMITED: { http: 429, grpc: 8, retry: true, message: 'Too many requests.' },
  CANCELLED: { http: 499, grpc: 1, retry: false, message: 'The client cancelled the request.' },
  INTERNAL: { http: 500, grpc: 13, retry: false, message: 'The server failed; its log has the cause.' },
  UPSTREAM_ABSENT: { http: 501, grpc: 12, retry: false, message: 'This server has no upstream: set UPSTREAM_URL to a base URL such as https://api.openai.com/v1.' },
  TRANSFER_UNSUPPORTED: { http: 501, grpc: 12, retry: false, message: 'The transfer encoding is not supported.' },
  UPSTREAM_FAILED: { http: 502, grpc: 14, retry: true, message: 'The upstream server failed or cannot be reached.' },
  BACKEND_FAILED: { http: 503, grpc: 14, retry: true, message: 'The model failed to run.' },
  MODEL_NOT_READY: { http: 503, grpc: 14, retry: true, message: 'The model is not ready.' },
  MODEL_STUCK: { http: 503, grpc: 14, retry: true, message: 'The model does not come back from a run; the server is about to be replaced.' },
  OVERLOADED: { http: 503, grpc: 8, retry: true, message: 'The server holds too many request bytes.' },
  UPSTREAM_TIMEOUT: { http: 504, grpc: 4, retry: true, message: 'The upstream server did not answer in time.' },
  TIMEOUT: { http: 504, grpc: 4, retry: true, message: 'The request did not finish in time.' },
} as const satisfies Record<string, Row>;

export type ErrorCode = keyof typeof errorTable;

export type ErrorOptions = {
  /** The request field at fault, as a client writes it: `input`, `texts[3]`. */
  readonly field?: string;
  /** When a retry makes sense; only for rows with `retry`, whose errors say the least wait without it. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
};

/** An operating error: the client may see `message`, so it names no path and holds no secret. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, detail: string = errorTable[code].message, options: ErrorOptions = {}) {
    // Half a surrogate pair, of a client's text or where one was cut, has no form in gRPC's status.
    super(detail.toWellFormed(), { cause: options.cause });
    this.code = code;
    this.field = options.field;
    this.retryAfterMs = options.retryAfterMs ?? (errorTable[code].retry ? retryAfterMsMin : undefined);
  }
}

/** What a client may see of anything that was thrown: a bug's own message stays in the log. */
export function toServerError(error: unknown): ServerError {
  if (error instanceof ServerError) return error;
  return new ServerError('INTERNAL', undefined, { cause: error });
}
