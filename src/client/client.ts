// The client of ortserve for Node and browsers: no dependency, no Node module. HTTP here, WebSocket in stream.ts.
import { ConnectionError, errorOf } from './errors.ts';
import { withRetries, type RetryOptions } from './retry.ts';
import { Stream, type SocketConstructor } from './stream.ts';

export { ConnectionError, RequestError } from './errors.ts';
export type { Tensor, TypedArray } from './frames.ts';
export { Stream, StreamedCall } from './stream.ts';
export type { CallOptions, Embedding, Message } from './stream.ts';

export type ClientOptions = Partial<RetryOptions> & {
  /** Where the server is: `http://localhost:8000`, with the prefix that a proxy may have. */
  readonly url: string | URL;
  readonly apiKey?: string;
  readonly fetch?: typeof globalThis.fetch;
  /** For Node before 22, which has none of its own: the class of the `ws` package. */
  readonly WebSocket?: SocketConstructor;
};

export type EmbedOptions = {
  /** Leading values wanted, of models trained for it. */
  readonly dimensions?: number;
  readonly signal?: AbortSignal;
};

export type Embeddings = {
  /** In the order of the inputs; views of one buffer. */
  readonly vectors: readonly Float32Array[];
  readonly dimension: number;
  /** Computed, special tokens included. */
  readonly tokens: number;
  /** How many inputs were too long and lost tokens. */
  readonly truncated: number;
};

export type JsonOptions = { readonly method?: string; readonly body?: unknown; readonly signal?: AbortSignal };

export class Client {
  readonly #url: string;
  readonly #apiKey: string | undefined;
  readonly #fetch: typeof globalThis.fetch;
  readonly #webSocket: SocketConstructor | undefined;
  readonly #retry: RetryOptions;

  constructor(options: ClientOptions) {
    this.#url = String(options.url).replace(/\/+$/, '');
    this.#apiKey = options.apiKey;
    // A browser's fetch insists on its own `this`.
    this.#fetch = options.fetch ?? ((...request) => globalThis.fetch(...request));
    this.#webSocket = options.WebSocket ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
    this.#retry = { retries: options.retries ?? 3, retryWaitMsMax: options.retryWaitMsMax ?? 60_000 };
  }

  /** Vectors in one answer, as raw bytes. Rejects with RequestError or ConnectionError. */
  async embed(model: string, input: string | readonly string[], options: EmbedOptions = {}): Promise<Embeddings> {
    const { dimensions, signal } = options;
    const body = { model, input, encoding_format: 'bytes', ...(dimensions !== undefined && { dimensions }) };
    const response = await this.#send('/v1/embeddings', { method: 'POST', body, ...(signal && { signal }) });
    const [count = 0, dimension = 0] = (response.headers.get('x-embedding-shape') ?? '').split(',').map(Number);
    const values = new Float32Array(await bodyOf(response.arrayBuffer(), signal));
    if (values.length !== count * dimension) throw new ConnectionError('The answer is not as long as it says.');
    return {
      vectors: Array.from({ length: count }, (_, i) => values.subarray(i * dimension, (i + 1) * dimension)),
      dimension,
      tokens: Number(response.headers.get('x-compute-tokens')),
      truncated: Number(response.headers.get('x-truncated-count')),
    };
  }

  /** Any path of the server that answers in JSON: `json('/v1/models')`. Rejects as `embed` does. */
  async json<Answer = unknown>(path: string, options: JsonOptions = {}): Promise<Answer> {
    const response = await this.#send(path, options);
    return (await bodyOf(response.json(), options.signal)) as Answer;
  }

  /** Runs a tensor model once; nested lists in, nested lists out. `stream` sends and receives raw tensors. */
  infer<Answer = Record<string, unknown>>(version: string, inputs: object, options: { signal?: AbortSignal } = {}): Promise<Answer> {
    return this.json<Answer>(`/models/${encodeURIComponent(version)}/inference`, { ...options, body: inputs });
  }

  /** A WebSocket for many requests at once, answered item by item. Rejects with ConnectionError. */
  stream(options: { signal?: AbortSignal } = {}): Promise<Stream> {
    if (this.#webSocket === undefined) {
      throw new TypeError('This runtime has no WebSocket: pass one, as the `ws` package has it, to the client.');
    }
    const url = `${this.#url.replace(/^http/, 'ws')}/v1/stream`;
    return Stream.open(this.#webSocket, url, this.#apiKey, this.#retry, options.signal);
  }

  #send(path: string, { method, body, signal }: JsonOptions): Promise<Response> {
    const headers: Record<string, string> = {};
    if (this.#apiKey !== undefined) headers['authorization'] = `Bearer ${this.#apiKey}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const request = {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    };
    return withRetries(async () => {
      const response = await this.#fetch(this.#url + path, request).catch((error: unknown) => {
        if (signal?.aborted === true) throw error;
        throw new ConnectionError('The server cannot be reached.', { cause: error });
      });
      if (!response.ok) throw await errorOf(response);
      return response;
    }, this.#retry, signal);
  }
}

/** A body that breaks off. */
function bodyOf<Value>(body: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  return body.catch((error: unknown) => {
    if (signal?.aborted === true) throw error;
    throw new ConnectionError('The answer broke off.', { cause: error });
  });
}
