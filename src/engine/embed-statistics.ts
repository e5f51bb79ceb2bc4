// Counts the requests of embedding models, whichever surface they came by. Batches are shared, so what ran is counted
// where it runs (InferenceStatistics.batchEnded).
import type { CacheUse } from '../cache/embedding-cache.ts';
import type { InferenceStatistics } from '../registry/inference-statistics.ts';
import type { SliceTimes } from './row-stream.ts';

export function countRequest(statistics: InferenceStatistics, cache: CacheUse, times: SliceTimes, totalMs: number): void {
  const { queueMs, tokenizeMs: inputMs, inferenceMs: inferMs } = times;
  statistics.succeeded(cache.misses, { totalMs, queueMs, inputMs, inferMs, outputMs: totalMs - queueMs - inputMs - inferMs });
  if (cache.hits > 0) statistics.hit(cache.lookupMs);
  if (cache.misses > 0) statistics.missed(cache.lookupMs);
}
