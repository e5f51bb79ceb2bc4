// What the client throws, whatever shape the server's answer has.

/** The server refused or failed; `code` is of its error table, in upper case. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly code: string;
  /** The HTTP status, over WebSocket too. */
  readonly status: number;
  /** The field of the request at fault. */
  readonly field: string | undefined;
  /** When the server says that the same request may succeed. */
  readonly retryAfterMs: number | undefined;

  constructor(init: { message: string; code: string; status: number; field?: string | undefined; retryAfterMs?: number | undefined }) {
    super(init.message);
    this.code = init.code;
    this.status = init.status;
    this.field = init.field;
    this.retryAfterMs = init.retryAfterMs;
  }

  /** Whether the same request may succeed later. */
  get canRetry(): boolean {
    return this.status === 429 || this.status === 503 || this.status === 504;
  }
}

/** The connection broke, or there was none; what became of the request is not known. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}

type Fields = Readonly<Record<string, unknown>>;

/** The error that an HTTP answer tells of, in any of the server's shapes. */
export async function errorOf(response: Response): Promise<RequestError> {
  const text = await response.text().catch(() => '');
  let body: Fields = {};
  try {
    body = (JSON.parse(text) ?? {}) as Fields;
  } catch {
    // A proxy's page: the status says it all.
  }
  const { status } = response;
  const inner = (typeof body['error'] === 'object' && body['error'] !== null ? body['error'] : body) as Fields;
  const { message = inner['detail'] ?? inner['error'], code, param, field } = inner;
  return new RequestError({
    message: typeof message === 'string' ? message : `The server answered with ${status}.`,
    code: typeof code === 'string' ? code.toUpperCase() : `HTTP_${status}`,
    status,
    field: textOf(param) ?? textOf(field),
    retryAfterMs: retryAfterMs(response.headers),
  });
}

/** The error of a WebSocket message. */
export function errorOfFields(value: unknown): RequestError {
  const { message, code, status, field, retry_after_ms } = (value ?? {}) as Fields;
  return new RequestError({
    message: textOf(message) ?? 'The request failed.',
    code: textOf(code) ?? 'INTERNAL',
    status: Number(status) || 500,
    field: textOf(field),
    retryAfterMs: typeof retry_after_ms === 'number' ? retry_after_ms : undefined,
  });
}

/** Milliseconds where they are given, else `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). */
function retryAfterMs(headers: Headers): number | undefined {
  const ms = Number(headers.get('retry-after-ms') ?? NaN);
  if (Number.isFinite(ms)) return ms;
  const after = headers.get('retry-after');
  if (after === null) return undefined;
  const seconds = Number(after);
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(after) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
