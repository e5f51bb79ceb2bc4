// The semantic cache and the upstream behind it, built from the configuration. Both need nothing that is not asked for:
// without UPSTREAM_URL no HTTP client is loaded.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SemanticCache } from '../cache/semantic/semantic-cache.ts';
import { noModel } from '../cache/semantic/vector-model.ts';
import { openSemanticCache } from './caches.ts';
import type { Config } from '../config.ts';
import { AnswerEngine } from '../engine/answer.ts';
import { ServerError } from '../errors.ts';
import { loadRetryMs } from '../limits.ts';
import type { EmbedEngine } from '../engine/embed.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { AnyOperation } from '../operation.ts';
import { chatOperations } from '../surface/chat/operations.ts';
import { entryOperations } from '../surface/query/entries.ts';
import { queryOperations } from '../surface/query/operations.ts';
import type { Upstream } from '../upstream/upstream.ts';

export type Answers = {
  readonly operations: readonly AnyOperation[];
  /** Ends the upstream's connections and writes what the cache still holds back. */
  close(): Promise<void>;
};

/** @param defaultModel compares questions unless the configuration names another. */
export async function openAnswers(
  config: Config, { engine, metrics, log, defaultModel }: { engine: EmbedEngine; metrics: Metrics; log: Log; defaultModel: string },
): Promise<Answers> {
  const cache = new OpenedCache(config, metrics, log);
  // A store that has entries is read beside the start of the models; one that has none costs nothing until it is used.
  if (config.redisUrl !== undefined || existsSync(storeDirectory(config))) cache.get().catch(() => {});
  const upstream = await openUpstream(config);
  const answers = new AnswerEngine({
    cache: () => cache.get(),
    engine,
    model: config.semanticModel ?? defaultModel,
    upstream,
    observer: {
      saved: (upstreamMs, tokens) => metrics.semantic.saved(upstreamMs, tokens),
      upstreamEnded: (status, upstreamMs) => metrics.upstream.ended(status, upstreamMs),
      joined: () => metrics.upstream.joined(),
      bypassed: () => metrics.upstream.bypassed(),
    },
    onError: (error) => log.warn({ err: error }, 'the semantic cache failed; the answer came without it'),
  });
  const model = config.upstreamModel ?? '';
  // The upstream's own bound is on its silence: an answer that comes may take as long as any request, and never less.
  const timeoutMs = Math.max(config.requestTimeoutMs, config.upstreamTimeoutMs);
  const forwardsKey = config.upstreamApiKey === undefined && !hasKeys(config);
  const parts = { partitionHeaders: config.cachePartitionHeaders, partitionFields: config.cachePartitionFields };
  return {
    operations: [
      ...queryOperations(answers, { model, timeoutMs, forwardsKey, ...parts }),
      ...entryOperations(answers, { model, ...parts }),
      ...chatOperations(answers, {
        model: config.upstreamModel,
        timeoutMs,
        temperatureMax: config.cacheTemperatureMax,
        ...parts,
        forwardsKey,
      }),
    ],
    close: async () => {
      await cache.close();
      await upstream?.close();
    },
  };
}

async function openUpstream(config: Config): Promise<Upstream | undefined> {
  if (config.upstreamUrl === undefined) return undefined;
  const { Upstream } = await import('../upstream/upstream.ts');
  const { upstreamUrl: baseUrl, upstreamApiKey: apiKey, upstreamTimeoutMs: timeoutMs, upstreamRetries: retries } = config;
  return new Upstream({ baseUrl, apiKey, timeoutMs, retries });
}

/** Then the client's key is ours, and no other server may see it. */
function hasKeys({ apiKey, apiKeysFile }: Config): boolean {
  return apiKey !== undefined || apiKeysFile !== undefined;
}

function storeDirectory(config: Config): string {
  return join(config.dataDirectory, 'semantic');
}

/** Opened by who needs it first. One that could not be opened is tried again after a while. */
class OpenedCache {
  readonly #config: Config;
  readonly #metrics: Metrics;
  readonly #log: Log;
  #opened: Promise<SemanticCache> | undefined;

  constructor(config: Config, metrics: Metrics, log: Log) {
    this.#config = config;
    this.#metrics = metrics;
    this.#log = log;
  }

  get(): Promise<SemanticCache> {
    this.#opened ??= this.#open().catch((cause: unknown) => {
      this.#log.error({ err: cause }, 'the semantic cache cannot be opened');
      setTimeout(() => (this.#opened = undefined), loadRetryMs).unref();
      throw new ServerError('BACKEND_FAILED', 'The store of the semantic cache cannot be opened.', { cause });
    });
    return this.#opened;
  }

  async close(): Promise<void> {
    await this.#opened?.then((cache) => cache.close(), () => {});
  }

  #open(): Promise<SemanticCache> {
    // Which model compares questions is told with each of them.
    return openSemanticCache(this.#config, noModel, this.#metrics, this.#log);
  }
}
