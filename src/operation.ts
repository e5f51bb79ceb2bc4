// One operation type for every transport, and the whole life of one call. A surface is a list of operations;
// a transport turns bytes into calls. Neither knows the other.
import type { TSchema } from 'typebox';
import { errorTable, ServerError, toServerError } from './errors.ts';
import type { Call, Caller } from './operation/call.ts';
import { eventReply } from './operation/event-text.ts';
import { EventStream, type Streams } from './operation/events.ts';
import { isStream, watched, type OwnedBody, type Reply, type StreamBody } from './operation/reply.ts';

export { Call, type Caller, type Timings } from './operation/call.ts';
export { isStream, type Reply, type ReplyStream } from './operation/reply.ts';

/** Decides whether a caller may do it; asked by every transport before the body. Throws ServerError. */
export type Authorize = (operation: AnyOperation, header: (name: string) => string) => Caller;

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
  /** The same of request headers that are not the same everywhere. */
  readonly headerSchema?: TSchema;
  /** Of an answer that is no error; 200 unless told. */
  readonly goodStatus?: number;
  /** What the connection becomes with 101, of an operation that never answers 200. */
  readonly upgrade?: { readonly protocol: string; readonly description: string };
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
 * The whole life of one call: at once where its operation answers at once. Neither throws nor rejects. Decodes
 * before it returns, so `bytes` may be reused after that. At the deadline the call is answered and marked cancelled;
 * what already runs goes on.
 */
export function perform(
  operation: AnyOperation, bytes: Uint8Array, call: Call, observer: CallObserver,
): Outcome | Promise<Outcome> {
  try {
    const input = operation.decode(bytes, call);
    if (call.operation.streams?.wanted(input, call) === true) return streamed(input, call, observer);
    const output = call.operation.run(input, call);
    return output instanceof Promise ? later(output, input, call, observer) : answered(output, input, call, observer);
  } catch (thrown) {
    return refuse(call, thrown, observer);
  }
}

async function later(running: Promise<unknown>, input: unknown, call: Call, observer: CallObserver): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      call.cancel();
      reject(new ServerError('TIMEOUT', `The request did not finish in ${call.timeoutMs} ms.`));
    }, call.timeoutMs);
  });
  try {
    return answered(await Promise.race([running, deadline]), input, call, observer);
  } catch (thrown) {
    return refuse(call, thrown, observer);
  } finally {
    clearTimeout(timer);
  }
}

function answered(output: unknown, input: unknown, call: Call, observer: CallObserver): Outcome {
  // The client left while it ran; encoding for nobody would cost as much as for somebody.
  if (call.cancelled) throw new ServerError('CANCELLED');
  const reply = call.operation.encode(output, call, input);
  const { body } = reply;
  if (isStream(body)) return { reply: { ...reply, body: watched(body, (error) => tell(observer, call, reply, error)) }, error: undefined };
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) throw new TypeError('The reply has no body.');
  tell(observer, call, reply, undefined);
  return { reply, error: undefined };
}

/** A reply that tells the parts as they are done, or of what failed before the first of them. */
async function streamed(input: unknown, call: Call, observer: CallObserver): Promise<Outcome> {
  try {
    const stream = new EventStream(call.operation.streams!, input, call);
    await stream.begin();
    const reply = eventReply(stream, call, (error) => String(errorReply(call, error).reply.body));
    stream.ended = (error) => tell(observer, call, reply, error);
    return { reply, error: undefined };
  } catch (thrown) {
    return refuse(call, thrown, observer);
  }
}

/** The call's parts as they are done, for a transport with a form of its own. `input` is what `decode` gave. */
export function openEvents(input: unknown, call: Call, observer: CallObserver): EventStream {
  const stream = new EventStream(call.operation.streams!, input, call);
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

function tell(observer: CallObserver, call: Call, reply: Reply, error: ServerError | undefined): void {
  try {
    observer.ended(call, reply, error);
  } catch (bug) {
    // The log and the metrics are what broke, so this is the only place left that can say so.
    process.emitWarning(bug instanceof Error ? bug : String(bug));
  }
}
