// One WebSocket with many requests, each an async iterator. After a break it connects again, and requests that were
// made resumable go on where they were.
import { ConnectionError, RequestError } from './errors.ts';
import { packMessage, unpackMessage, type Tensor } from './frames.ts';
import { reasonOf, sleep, waitMs, withRetries, type RetryOptions } from './retry.ts';
import { StreamedCall, type CallOptions, type Message } from './streamed-call.ts';

export { StreamedCall } from './streamed-call.ts';
export type { CallOptions, Message } from './streamed-call.ts';

/** What is used of a WebSocket; the browser's, Node's and the `ws` package's have it. */
export type SocketLike = {
  binaryType: string;
  readonly readyState: number;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  // Each of them has event types of its own.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  addEventListener(type: 'open' | 'message' | 'close' | 'error', listener: (event: any) => void): void;
};
export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

export type Embedding = {
  readonly index: number;
  readonly vector: Float32Array;
  readonly tokens: number;
  /** Set when the input was too long. */
  readonly truncated?: { readonly tokens_given: number; readonly tokens_kept: number };
};

const openState = 1;

export class Stream {
  readonly #connect: () => SocketLike;
  readonly #retry: RetryOptions;
  readonly #calls = new Map<string, StreamedCall>();
  /** Calls beyond what the server takes at once, in their order. */
  readonly #waiting: StreamedCall[] = [];
  #socket: SocketLike | undefined;
  #requestsMax = 1;
  #requestBytesMax = Infinity;
  #nextId = 1;
  #isConnecting = false;
  readonly #closing = new AbortController();

  private constructor(connect: () => SocketLike, retry: RetryOptions) {
    this.#connect = connect;
    this.#retry = retry;
  }

  /** Rejects with ConnectionError, also where the server refuses: browsers do not tell why. */
  static async open(
    WebSocket: SocketConstructor, url: string, apiKey: string | undefined, retry: RetryOptions, signal?: AbortSignal,
  ): Promise<Stream> {
    const protocols = ['ortserve.v1', ...(apiKey === undefined ? [] : [`bearer.${protocolText(apiKey)}`])];
    const stream = new Stream(() => new WebSocket(url, protocols), retry);
    await withRetries(() => stream.#open(signal), retry, signal);
    return stream;
  }

  /**
   * Each vector as soon as it is computed, in any order. Resumable, so that the server computes no further ahead than
   * the loop takes. Leaving the loop cancels the rest. Throws RequestError or ConnectionError.
   */
  async *embed(
    model: string, input: string | readonly string[], options: { dimensions?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<Embedding, Message> {
    const { dimensions, signal } = options;
    const body = { model, input, ...(dimensions !== undefined && { dimensions }) };
    const call = this.call('embed', { body, binary: true, resumable: true, ...(signal && { signal }) });
    for await (const { type, fields, tensors } of call) {
      if (type !== 'item') continue;
      const { index, tokens, truncated } = fields as unknown as Embedding;
      yield { index, tokens, vector: tensors['embedding']!.data as Float32Array, ...(truncated && { truncated }) };
    }
    return call.last!;
  }

  /** Runs a tensor model once with raw tensors in and out, by the names of its inputs and outputs. */
  async infer(
    version: string, tensors: Readonly<Record<string, Tensor>>, options: { body?: object; signal?: AbortSignal } = {},
  ): Promise<{ readonly fields: Readonly<Record<string, unknown>>; readonly tensors: Readonly<Record<string, Tensor>> }> {
    const call = this.call('infer', { body: {}, ...options, params: { version }, tensors, binary: true });
    let item: Message | undefined;
    for await (const message of call) if (message.type === 'item') item = message;
    if (item === undefined) throw new ConnectionError('The server gave no result.');
    return item;
  }

  /** Any operation by name: its messages up to the last, a `summary` or a `result`. */
  call(op: string, options: CallOptions = {}): StreamedCall {
    if (this.#isClosed) throw new ConnectionError('The stream is closed.');
    const call = new StreamedCall(String(this.#nextId++), op, options, {
      send: (fields, tensors) => this.#send(fields, tensors),
      ended: (ended) => this.#ended(ended),
    });
    this.#waiting.push(call);
    this.#startWaiting();
    return call;
  }

  /** Ends what runs with ConnectionError. */
  close(): void {
    this.#closing.abort();
    this.#socket?.close(1000, 'done');
    this.#failAll(new ConnectionError('The stream is closed.'), () => true);
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Resolves when the server has said hello; `signal` ends the wait for that. */
  async #open(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) throw reasonOf(signal);
    const socket = this.#connect();
    socket.binaryType = 'arraybuffer';
    // All listeners at once: the server's hello may come with the answer that opens the connection.
    let leave!: () => void;
    const hello = new Promise<void>((resolve, reject) => {
      leave = () => {
        reject(reasonOf(signal!));
        socket.close();
      };
      signal?.addEventListener('abort', leave, { once: true });
      socket.addEventListener('message', ({ data }: { data: unknown }) => {
        const message = readMessage(data);
        if (message.type === 'hello') {
          this.#requestsMax = Number(message.fields['requests_max']) || 1;
          this.#requestBytesMax = Number(message.fields['request_bytes_max']) || Infinity;
          resolve();
        } else {
          this.#calls.get(String(message.fields['id']))?.receive(message, sizeOf(data));
        }
      });
      socket.addEventListener('error', ({ message }: { message?: string }) => {
        reject(new ConnectionError(message === undefined || message === '' ? 'The server cannot be reached.' : message));
      });
      socket.addEventListener('close', ({ code, reason }: { code: number; reason: unknown }) => {
        const error = new ConnectionError(`The connection was closed: ${code} ${String(reason)}`.trimEnd());
        reject(error);
        if (this.#socket === socket) void this.#reconnect(error);
      });
    });
    await hello.finally(() => signal?.removeEventListener('abort', leave));
    if (this.#isClosed) return socket.close(1000, 'done');
    this.#socket = socket;
    for (const call of this.#calls.values()) call.resume();
    this.#startWaiting();
  }

  /** Until it has a connection again, or nobody waits for one. Never rejects. */
  async #reconnect(broken: ConnectionError | undefined): Promise<void> {
    if (broken !== undefined) {
      this.#socket = undefined;
      this.#failAll(broken, (call) => this.#calls.has(call.id) && !call.canResume);
    }
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    let error: Error | undefined = broken;
    for (let tried = 0; !this.#isClosed && this.#calls.size + this.#waiting.length > 0; tried += 1) {
      try {
        if (error !== undefined) await sleep(waitMs(error, tried) ?? 0, this.#closing.signal);
        await this.#open(this.#closing.signal);
        break;
      } catch (thrown) {
        error = thrown instanceof Error ? thrown : new ConnectionError(String(thrown));
        if (tried >= this.#retry.retries) this.#failAll(error, () => true);
      }
    }
    this.#isConnecting = false;
    this.#startWaiting();
  }

  #startWaiting(): void {
    while (this.#socket?.readyState === openState && this.#calls.size < this.#requestsMax) {
      const call = this.#waiting.shift();
      if (call === undefined) return;
      this.#calls.set(call.id, call);
      call.start();
    }
    if (this.#socket === undefined && this.#waiting.length > 0 && !this.#isConnecting && !this.#isClosed) void this.#reconnect(undefined);
  }

  #ended(call: StreamedCall): void {
    this.#calls.delete(call.id);
    const at = this.#waiting.indexOf(call);
    if (at >= 0) this.#waiting.splice(at, 1);
    this.#startWaiting();
  }

  #send(fields: object, tensors?: Readonly<Record<string, Tensor>>): void {
    if (this.#socket?.readyState !== openState) return;
    const message = fields as Readonly<Record<string, unknown>>;
    const data = tensors === undefined ? JSON.stringify(message) : packMessage(message, tensors);
    // The server could not say whose it was, or would cut the connection off with all that runs on it.
    if (isLonger(data, this.#requestBytesMax)) throw tooLarge(this.#requestBytesMax);
    this.#socket.send(data);
  }

  #failAll(error: Error, which: (call: StreamedCall) => boolean): void {
    for (const call of [...this.#calls.values(), ...this.#waiting]) if (which(call)) call.fail(error);
  }
}

function readMessage(data: unknown): Message {
  const { fields, tensors } = typeof data === 'string'
    ? { fields: JSON.parse(data) as Record<string, unknown>, tensors: {} }
    : unpackMessage(data as ArrayBuffer);
  return { type: String(fields['type']), fields, tensors };
}

/** Of what was received; text is ASCII for the most part. */
function sizeOf(data: unknown): number {
  return typeof data === 'string' ? data.length : (data as ArrayBuffer).byteLength;
}

function isLonger(data: string | Uint8Array, bytesMax: number): boolean {
  if (typeof data !== 'string') return data.byteLength > bytesMax;
  // A character is three bytes at most.
  return data.length * 3 > bytesMax && new TextEncoder().encode(data).byteLength > bytesMax;
}

function tooLarge(bytesMax: number): RequestError {
  return new RequestError({ message: `The request is larger than ${bytesMax} bytes.`, code: 'REQUEST_TOO_LARGE', status: 413 });
}

/** Subprotocols are HTTP tokens, which have no parentheses. */
function protocolText(key: string): string {
  return encodeURIComponent(key).replace(/[()]/g, (each) => `%${each.charCodeAt(0).toString(16)}`);
}

