// The ProtT5 embedding service among the parts of this server: which model it runs, and what it may tell.
import type { EmbeddingCache } from '../cache/embedding-cache.ts';
import type { Config } from '../config.ts';
import type { EmbedEngine } from '../engine/embed.ts';
import type { AnyOperation } from '../operation.ts';
import type { Registry } from '../registry/registry.ts';
import { prott5Operations } from '../surface/prott5/operations.ts';
import type { CacheSource, TritonState } from '../surface/prott5/status.ts';

export type Prott5Parts = {
  readonly config: Config;
  readonly engine: EmbedEngine;
  readonly registry: Registry;
  readonly cache: EmbeddingCache | undefined;
  readonly triton: () => TritonState | undefined;
  /** The encoder of proteins in a folder here, by name. */
  readonly local: string | undefined;
};

export function prott5(parts: Prott5Parts): AnyOperation[] {
  const { config, engine, registry, cache, triton, local } = parts;
  return prott5Operations({
    engine,
    registry,
    get triton() {
      return triton();
    },
    // One from the hub is known for what it is once it has been loaded.
    model: () => triton()?.names[0] ?? local ?? registry.list().find(({ manifest }) => manifest?.protein)?.name,
    cache: { stats: () => statsOf(cache), redis: () => redisOf(cache) },
    limits: { sequencesMax: config.openaiInputsMax, residuesMax: config.sequenceResiduesMax },
  });
}

function statsOf(cache: EmbeddingCache | undefined): ReturnType<CacheSource['stats']> {
  if (cache === undefined) return { enabled: false, hits: 0, misses: 0, entries: 0, bytes: 0, bytesMax: 0, compressionRatio: 1 };
  const { memory, redis } = cache.stats;
  const { entries, bytes, bytesMax } = memory;
  // What memory does not have and Redis has is a hit after all.
  const later = redis?.hits ?? 0;
  // Memory holds vectors as they are; only what is written is packed.
  const compressionRatio = redis !== undefined && redis.rawBytes > 0 ? redis.storedBytes / redis.rawBytes : 1;
  return { enabled: true, hits: memory.hits + later, misses: memory.misses - later, entries, bytes, bytesMax, compressionRatio };
}

async function redisOf(cache: EmbeddingCache | undefined): ReturnType<CacheSource['redis']> {
  if (cache?.stats.redis === undefined) return { status: 'off', memoryBytes: null, keys: null };
  const usage = await cache.redisUsage();
  if (usage === undefined) return { status: 'down', memoryBytes: null, keys: null };
  return { status: 'up', ...usage };
}
