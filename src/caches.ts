// The caches of a server, made as its options say.
import { EmbeddingCache } from './cache/embedding-cache.ts';
import type { Config } from './config.ts';
import type { Metrics } from './metrics.ts';

export function newEmbeddingCache(config: Config, metrics: Metrics): EmbeddingCache {
  const cache = new EmbeddingCache({
    memoryBytesMax: config.embeddingCacheBytesMax,
    ttlMs: config.embeddingCacheTtlMs,
    sliding: config.embeddingCacheSliding,
    precision: config.embeddingCachePrecision,
  });
  metrics.watchEmbeddingCache(() => cache.stats);
  return cache;
}
