// The caches of a server, made as its options say.
import { join } from 'node:path';
import { EmbeddingCache } from '../cache/embedding-cache.ts';
import type { RedisTier } from '../cache/redis.ts';
import { defaultThresholds, type Policy } from '../cache/semantic/decision.ts';
import type { SemanticCache } from '../cache/semantic/semantic-cache.ts';
import type { SemanticStore } from '../cache/semantic/store.ts';
import type { Judge, Learning } from '../cache/semantic/types.ts';
import type { VectorModel } from '../cache/semantic/vector-model.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';

/** Undefined where the options say so. */
export async function openEmbeddingCache(config: Config, metrics: Metrics, log: Log): Promise<EmbeddingCache | undefined> {
  if (!config.embeddingCacheEnabled) return undefined;
  const cache = new EmbeddingCache({
    memoryBytesMax: config.embeddingCacheBytesMax,
    ttlMs: config.embeddingCacheTtlMs,
    sliding: config.embeddingCacheSliding,
    precision: config.embeddingCachePrecision,
    redis: config.redisUrl === undefined ? undefined : await openRedisTier(config, config.redisUrl, log),
  });
  metrics.watchEmbeddingCache(() => cache.stats);
  return cache;
}

async function openRedisTier(config: Config, url: string, log: Log): Promise<RedisTier> {
  // Loading it takes a tenth of a second: only where there is a Redis.
  const [{ connectRedis }, { RedisTier }] = await Promise.all([
    import('../cache/redis-connection.ts'),
    import('../cache/redis.ts'),
  ]);
  return new RedisTier({
    client: connectRedis(url, log),
    ttlMs: config.embeddingCacheTtlMs,
    sliding: config.embeddingCacheSliding,
    precision: config.embeddingCachePrecision,
    waitMsMax: config.embeddingCacheWaitMsMax,
    log,
  });
}

/** What decides where the similarity alone does not, and what learns from feedback. */
export type SemanticJudges = {
  readonly judgeOf: (mode: 'verified' | 'guarded', threshold: number | undefined) => Judge;
  readonly learning: Learning;
};

/** Of the answers to a question that was ever answered wrongly by meaning, at most this share may be wrong (arXiv 2502.03771). */
const errorMax = 0.02;

/**
 * Opens the semantic cache where the options say: in Redis when there is one, else in the data folder. Rejects when
 * the file cannot be opened; a Redis that is away is waited for meanwhile. `judges` are for tests.
 */
export async function openSemanticCache(
  config: Config, model: VectorModel, metrics: Metrics, log: Log, judges?: SemanticJudges,
): Promise<SemanticCache> {
  // Whoever does not need it does not load it.
  const [{ SemanticCache }, store] = await Promise.all([import('../cache/semantic/semantic-cache.ts'), semanticStore(config, log)]);
  const cache = await SemanticCache.open({
    model,
    store,
    policy: semanticPolicy(config, judges ?? (await verdict())),
    limits: {
      entriesMaxPerNamespace: config.semanticEntriesMax,
      bytesMaxPerNamespace: config.semanticNamespaceBytesMax,
      bytesMax: config.semanticBytesMax,
    },
    ttlMs: config.semanticTtlMs === 0 ? undefined : config.semanticTtlMs,
    sliding: config.semanticSliding,
    graphs: { directory: join(config.dataDirectory, 'semantic', 'graphs') },
    metrics: metrics.semantic,
    log,
  });
  metrics.semantic.watch(() => cache.stats());
  return cache;
}

function semanticPolicy({ semanticMode: mode, similarityThreshold }: Config, { judgeOf, learning }: SemanticJudges): Policy {
  const threshold = similarityThreshold ?? defaultThresholds[mode];
  if (mode === 'cosine') return { mode, threshold, learning };
  // The verifier has a threshold of its own, for its score.
  return { mode, threshold, judge: judgeOf(mode, mode === 'guarded' ? threshold : undefined), learning };
}

async function verdict(): Promise<SemanticJudges> {
  const [{ judgeOf }, { learningOf }] = await Promise.all([
    import('../cache/semantic/verdict/judge.ts'),
    import('../cache/semantic/learned-threshold.ts'),
  ]);
  return { judgeOf, learning: learningOf(errorMax) };
}

async function semanticStore({ redisUrl, dataDirectory }: Config, log: Log): Promise<SemanticStore> {
  if (redisUrl === undefined) return new (await import('../cache/semantic/lmdb-store.ts')).LmdbStore(join(dataDirectory, 'semantic'), log);
  return new (await import('../cache/semantic/redis-store.ts')).RedisStore({ url: redisUrl, log });
}
