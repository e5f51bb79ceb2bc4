// The caches of a server, made as its options say.
import { EmbeddingCache } from './cache/embedding-cache.ts';
import type { RedisTier } from './cache/redis.ts';
import type { Config } from './config.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

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
    import('./cache/redis-connection.ts'),
    import('./cache/redis.ts'),
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
