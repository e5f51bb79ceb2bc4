// One operation type for every transport, and the whole life of one call. A surface is a list of operations;
// a transport turns bytes into calls. Neither knows the other.
import type { TSchema } from 'typebox';
import { errorTable, ServerError, toServerError } from './errors.ts';
import { eventReply } from './operation/event-text.ts';
import { EventStream, type Streams } from './operation/events.ts';

/** Milliseconds spent in each stage, filled by the engine, shown by the transport. */
export type Timings = { queueMs?: number; tokenizeMs?: number; inferenceMs?: number };

/** Who calls: the name of an API key, or `anonymous`. */
export type Caller = { readonly name: string; readonly scopes: ReadonlySet<string> };

/** Decides whether a caller may do it; asked by every transport before the body. Throws ServerError. */
export type Authorize = (operation: AnyOperation, header: (name: string) => string) => Caller;

const noChunks: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }) };

/** One request on its way. Made by a transport, ended by it; everyone between only reads it and adds timings. */
export class Call {
  readonly requestId: string;
  /** Parsed path parameters by name, percent-decoded; `*` is the rest of a wildcard path. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly startedMs: number = performance.now();
  readonly timings: Timings = {};
  caller: Caller = { name: 'anonymous', scopes: new Set() };
  /** The operation that answers; a choosing operation replaces it once the body is known. */
  operation: AnyOperation;
  /** The body of an operation that takes it as a stream; empty elsewhere. The chunks are the reader's. */
  body: AsyncIterable<Uint8Array> = noChunks;
  #cancelled = false;
  #cancellation: AbortController | undefined;
  readonly #header: (name: string) => string;
  #query: string | URLSearchParams;

  constructor(init: {
    requestId: string;
    operation: AnyOperation;
    parameters?: Readonly<Record<string, string>>;
    /** What follows the `?`, undecoded. */
    query?: string | URLSearchParams;
    timeoutMs: number;
    header?: (name: string) => string;
  }) {
    this.requestId = init.requestId;
    this.operation = init.operation;
    this.parameters = init.parameters ?? {};
    this.#query = init.query ?? '';
    this.timeoutMs = init.timeoutMs;
    this.#header = init.header ?? (() => '');
  }

  /** True once nobody waits: what is still queued for this call is dropped before it runs. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Aborted with the call, for what can be stopped outside: a request to another server. */
  get signal(): AbortSignal {
    if (this.#cancellation === undefined) {
      this.#cancellation = new AbortController();
      if (this.#cancelled) this.#cancellation.abort();
    }
    return this.#cancellation.signal;
  }

  /** Says that nobody waits any more. */
  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#cancellation?.abort();
  }

  /** By `performance.now()`: after that the call has been answered. */
  get deadlineMs(): number {
    return this.startedMs + this.timeoutMs;
  }

  get query(): URLSearchParams {
    // Few operations look at it, so it is parsed for those.
    if (typeof this.#query === 'string') this.#query = new URLSearchParams(this.#query);
    return this.#query;
  }

  /** A header's or metadata entry's value, '' when absent. `name` in lower case. */
  header(name: string): string {
    return this.#header(name);
  }
}

/** A body that is made while it is sent. */
export type ReplyStream = {
  /**
   * Pulled as the client takes them; `return` when it leaves, which may be before the first pull, so what must be
   * given back is taken inside the iteration. A throw cuts the connection: a format that can tell of an error
   * does that itself.
   */
  readonly chunks: AsyncIterable<string | Uint8Array>;
  /** All chunks together, where that is known: then it is announced. */
  readonly lengthBytes?: number;
};

export type Reply = {
  readonly status: number;
  readonly contentType: string;
  /** Beyond those every answer gets. Values must be printable ASCII; the transport refuses others. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Owned by the reply: nobody writes to it afterwards. */
  readonly body: string | Uint8Array | ReplyStream;
};

export function isStream(body: Reply['body']): body is ReplyStream {
  return typeof body === 'object' && 'chunks' in body;
}

/** The body comes as `call.body` while the operation runs; `decode` gets none of it. */
export type StreamBody = { readonly kind: 'stream'; readonly bytesMax: () => number };

/**
 * The body is collected into memory of its own, once, and is the operation's: it may be kept and transferred. It
 * begins `offsetBytes` after the start of its buffer, so that what lies inside it can be aligned.
 */
export type OwnedBody = { readonly kind: 'owned'; readonly offsetBytes: (header: (name: string) => string) => number };

export type Operation<In, Out> = {
  /** `openai.embeddings`: the metrics label, the log field and the WebSocket `op`. */
  readonly name: string;
  /** A shorter `op`: `embed`. */
  readonly alias?: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/v1/models/*`: a `:name` segment is one parameter, a closing `*` takes the rest, slashes included. */
  readonly path: string;
  readonly summary: string;
  /** The tag in the API description. */
  readonly group: string;
  readonly requestSchema?: TSchema;
  readonly responseSchema?: TSchema;
  /** An object of the query parameters that `decode` reads, for the API description. */
  readonly querySchema?: TSchema;
  /** Bodies by status of answers that are neither 200 nor errors: what a probe says with 503. */
  readonly otherAnswers?: Readonly<Record<number, TSchema>>;
  /** Statuses of answers without JSON besides 200, and what they mean. */
  readonly otherStatuses?: Readonly<Record<number, string>>;
  /** Media types of the body where it is not JSON. */
  readonly requestTypes?: Readonly<Record<string, TSchema>>;
  /** Media types besides JSON that `encode` may answer with. */
  readonly binaryTypes?: readonly string[];
  /** What a caller's key must allow; `public` needs none, `cache` is any namespace of the semantic cache. */
  readonly scope: 'public' | 'infer' | 'metrics' | 'cache' | 'admin';
  /** Liveness, metrics and pages: outside rate limits. */
  readonly unlimited?: boolean;
  /** How it takes its body; absent, the body is collected and lent to `decode`. */
  readonly body?: StreamBody | OwnedBody;
  /** Content encodings that it decodes itself, in lower case; others are refused. */
  readonly contentEncodings?: readonly string[];
  /** Where the request's timeout does not fit: an upload takes as long as it takes. */
  readonly timeoutMs?: number;
  /** The operations it chooses among by the body; they are documented in its place. */
  readonly alternatives?: readonly AnyOperation[];
  /** `bytes` is valid only until decode returns unless `body` says otherwise; what must live longer is copied. Throws ServerError. */
  decode(bytes: Uint8Array, call: Call): In;
  run(input: In, call: Call): Promise<Out> | Out;
  encode(output: Out, call: Call, input: In): Reply;
  encodeError(error: ServerError, call: Call): Reply;
  /** `decode` for a body that came parsed; what came as raw bytes is a Uint8Array in it, free to be kept. */
  decodeBody?(body: unknown, call: Call): In;
  /** The same work told part by part, for clients that ask for it. */
  readonly streams?: Streams<In>;
};

// The transports hold operations of every kind in one table; only `perform` joins a call to its types.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type AnyOperation = Operation<any, any>;

/** What watches calls: the log and the metrics. */
export type CallObserver = {
  /**
   * Once for each call, for a stream when it has ended. `error` is set when the reply is an error; its `cause` may be a bug that no client must
   * see. CANCELLED means that the client left, so nobody reads the reply.
   */
  ended(call: Call, reply: Reply, error: ServerError | undefined): void;
};

/** What a transport sends, and the error it tells of: some headers and status codes come from that. */
export type Outcome = { readonly reply: Reply; readonly error: ServerError | undefined };

/**
 * The whole life of one call. Never rejects. Decodes before it returns for the first time, so `bytes` may be
 * reused after that. At the deadline the call is answered and marked cancelled; what already runs goes on.
 */
export async function perform(
  operation: AnyOperation, bytes: Uint8Array, call: Call, observer: CallObserver,
): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined;
  let reply: Reply;
  try {
    const input = operation.decode(bytes, call);
    if (call.operation.streams?.wanted(input, call) === true) return { reply: await streamed(input, call, observer), error: undefined };
    const running = call.operation.run(input, call);
    const output = running instanceof Promise ? await Promise.race([running, deadline()]) : running;
    // The client left while it ran; encoding for nobody would cost as much as for somebody.
    if (call.cancelled) throw new ServerError('CANCELLED');
    reply = call.operation.encode(output, call, input);
    const { body } = reply;
    if (isStream(body)) return { reply: { ...reply, body: watched(body, (error) => tell(observer, call, reply, error)) }, error: undefined };
    if (typeof body !== 'string' && !(body instanceof Uint8Array)) throw new TypeError('The reply has no body.');
  } catch (thrown) {
    return refuse(call, thrown, observer);
  } finally {
    clearTimeout(timer);
  }
  tell(observer, call, reply, undefined);
  return { reply, error: undefined };

  function deadline(): Promise<never> {
    return new Promise((_, reject) => {
      timer = setTimeout(() => {
        call.cancel();
        reject(new ServerError('TIMEOUT', `The request did not finish in ${call.timeoutMs} ms.`));
      }, call.timeoutMs);
    });
  }
}

/** A reply that tells the parts as they are done. Rejects with what fails before the first of them. */
async function streamed(input: unknown, call: Call, observer: CallObserver): Promise<Reply> {
  const stream = new EventStream(call.operation.streams!.events(input, call), call);
  await stream.begin();
  const reply = eventReply(stream, call, (error) => String(errorReply(call, error).reply.body));
  stream.ended = (error) => tell(observer, call, reply, error);
  return reply;
}

/** The call's parts as they are done, for a transport with a form of its own. `input` is what `decode` gave. */
export function openEvents(input: unknown, call: Call, observer: CallObserver): EventStream {
  const stream = new EventStream(call.operation.streams!.events(input, call), call);
  stream.ended = (error) => tell(observer, call, error === undefined ? doneReply : errorReply(call, error).reply, error);
  return stream;
}

const doneReply: Reply = { status: 200, contentType: '', body: '' };

/** Ends a call with an error: one that a transport refuses before `perform`, or one that failed in it. Never throws. */
export function refuse(call: Call, thrown: unknown, observer: CallObserver): Outcome {
  const outcome = errorReply(call, toServerError(thrown));
  tell(observer, call, outcome.reply, outcome.error);
  return outcome;
}

function errorReply(call: Call, error: ServerError): Outcome & { readonly error: ServerError } {
  try {
    return { reply: call.operation.encodeError(error, call), error };
  } catch (cause) {
    const bug = new ServerError('INTERNAL', undefined, { cause });
    return { reply: lastReply(bug), error: bug };
  }
}

/** The answer when the surface that should shape it fails, or when there is none. */
export function lastReply(error: ServerError): Reply {
  return {
    status: errorTable[error.code].http,
    contentType: 'application/json',
    body: JSON.stringify({ error: { message: error.message, code: error.code } }),
  };
}

/** A stream that says once how it ended: with an error, with CANCELLED when it was given up, or with neither. */
function watched(stream: ReplyStream, ended: (error: ServerError | undefined) => void): ReplyStream {
  const inner = stream.chunks[Symbol.asyncIterator]();
  let hasEnded = false;
  const end = (error: ServerError | undefined): void => {
    if (!hasEnded) ended(error);
    hasEnded = true;
  };
  const chunks: AsyncIterableIterator<string | Uint8Array> = {
    [Symbol.asyncIterator]: () => chunks,
    next: async () => {
      try {
        const result = await inner.next();
        if (result.done === true) end(undefined);
        return result;
      } catch (thrown) {
        end(toServerError(thrown));
        throw thrown;
      }
    },
    return: async () => {
      end(new ServerError('CANCELLED'));
      await inner.return?.();
      return { done: true, value: undefined };
    },
  };
  return { ...stream, chunks };
}

function tell(observer: CallObserver, call: Call, reply: Reply, error: ServerError | undefined): void {
  try {
    observer.ended(call, reply, error);
  } catch (bug) {
    // The log and the metrics are what broke, so this is the only place left that can say so.
    process.emitWarning(bug instanceof Error ? bug : String(bug));
  }
}
