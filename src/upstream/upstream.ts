// The language model behind the cache: any server that speaks OpenAI's API. One POST, its answer whole or as it comes.
// Invariants: what is read of an answer is bounded in time and bytes, and a request is only repeated while nothing of its
// answer has been seen.
import { pipeline, type Duplex, type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { Agent, errors, request, type Dispatcher } from 'undici';
import { ServerError } from '../errors.ts';
import { upstreamAnswerBytesMax, upstreamConnectionsMax, upstreamRetryMs, upstreamRetryWaitMsMax } from '../limits.ts';

export type UpstreamOptions = {
  /** As OpenAI's clients take it: `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  /** Sent as a bearer token in place of the client's own. */
  readonly apiKey: string | undefined;
  /** Until the head of the answer, and between two pieces of it. */
  readonly timeoutMs: number;
  /** How often a request that reached nobody is sent again. */
  readonly retries: number;
};

export type UpstreamRequest = {
  /** JSON. */
  readonly body: string | Uint8Array;
  /** The client's own `Authorization`, for an upstream that has no key of ours; '' for none. */
  readonly authorization: string;
  readonly signal: AbortSignal;
};

/** An answer whose head has come. */
export type UpstreamResponse = {
  readonly status: number;
  readonly contentType: string;
  /** Those a client may need: Retry-After, rate limits, the upstream's request id. */
  readonly headers: Readonly<Record<string, string>>;
  /** For one reader. Throws UPSTREAM_FAILED or UPSTREAM_TIMEOUT. */
  readonly body: AsyncIterable<Uint8Array>;
};

/** Statuses of gateways that say nothing was done. */
const retriedStatuses: ReadonlySet<number> = new Set([502, 503, 504]);
/** Some servers compress though they are told not to. */
const decompressors: Readonly<Record<string, () => Duplex>> = {
  gzip: createGunzip, 'x-gzip': createGunzip, deflate: createInflate, br: createBrotliDecompress,
};
const passedHeaders = /^(retry-after(-ms)?|x-should-retry|x-ratelimit-[\w-]+|openai-(model|version|organization))$/;

export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #agent: Agent;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#agent = new Agent({
      connections: upstreamConnectionsMax,
      headersTimeout: options.timeoutMs,
      bodyTimeout: options.timeoutMs,
      connect: { timeout: Math.min(options.timeoutMs, 10_000) },
    });
  }

  /** Throws CANCELLED, UPSTREAM_FAILED or UPSTREAM_TIMEOUT; an answer with an error status is an answer. */
  async chatCompletions(asked: UpstreamRequest): Promise<UpstreamResponse> {
    for (let tries = 0; ; tries += 1) {
      const isLast = tries >= this.#options.retries;
      const response = await this.#post(asked).catch((error: unknown) => {
        if (isLast || !reachedNobody(error)) throw failureOf(error, asked.signal);
        return undefined;
      });
      if (response !== undefined && (isLast || !retriedStatuses.has(response.statusCode))) return opened(response, asked.signal);
      const waitMs = retryWaitMs(response, tries);
      await response?.body.dump().catch(() => {});
      await sleep(waitMs, undefined, { signal: asked.signal }).catch(() => {
        throw new ServerError('CANCELLED');
      });
    }
  }

  /** Ends idle connections at once and the others with their answers. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #post({ body, authorization, signal }: UpstreamRequest): Promise<Dispatcher.ResponseData> {
    const { baseUrl, apiKey } = this.#options;
    const bearer = apiKey === undefined ? authorization : `Bearer ${apiKey}`;
    return request(`${baseUrl.replace(/\/+$/, '')}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: '*/*', 'accept-encoding': 'identity', ...(bearer !== '' && { authorization: bearer }) },
      body,
      signal,
      dispatcher: this.#agent,
    });
  }
}

/** Half to whole of a doubling wait, or what the upstream says, so that clients do not come back together. */
function retryWaitMs(response: Dispatcher.ResponseData | undefined, tries: number): number {
  const told = Number(response?.headers['retry-after']) * 1000;
  if (told > 0) return Math.min(told, upstreamRetryWaitMsMax);
  return Math.min(upstreamRetryMs * 2 ** tries, upstreamRetryWaitMsMax) * (0.5 + Math.random() / 2);
}

function opened(response: Dispatcher.ResponseData, signal: AbortSignal): UpstreamResponse {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (typeof value === 'string' && passedHeaders.test(name)) headers[name] = value;
  }
  const requestId = response.headers['x-request-id'];
  if (typeof requestId === 'string') headers['x-upstream-request-id'] = requestId;
  const contentType = response.headers['content-type'];
  return {
    status: response.statusCode,
    contentType: typeof contentType === 'string' ? contentType : 'application/json',
    headers,
    body: bounded(decompressed(response), signal),
  };
}

/** Throws UPSTREAM_FAILED for an encoding that cannot be read. */
function decompressed({ body, headers }: Dispatcher.ResponseData): Readable {
  const encoding = String(headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding === 'identity' || encoding === '') return body;
  if (!Object.hasOwn(decompressors, encoding)) {
    void body.dump().catch(() => {});
    throw new ServerError('UPSTREAM_FAILED', 'The upstream server compressed its answer in a way that nobody asked for.');
  }
  // Who reads hears of what breaks it off.
  return pipeline(body, decompressors[encoding]!(), () => {});
}

async function* bounded(body: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.byteLength;
      if (bytes > upstreamAnswerBytesMax) throw new ServerError('UPSTREAM_FAILED', 'The answer of the upstream server is too large.');
      yield chunk;
    }
  } catch (error) {
    throw failureOf(error, signal);
  }
}

function reachedNobody(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'].includes(code);
}

/** Where the upstream is stays in the log. */
function failureOf(error: unknown, signal: AbortSignal): ServerError {
  if (error instanceof ServerError) return error;
  if (signal.aborted) return new ServerError('CANCELLED');
  const timedOut = error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError || error instanceof errors.ConnectTimeoutError;
  return new ServerError(timedOut ? 'UPSTREAM_TIMEOUT' : 'UPSTREAM_FAILED', undefined, { cause: error });
}
