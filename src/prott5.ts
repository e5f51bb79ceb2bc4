// The ProtT5 embedding service among the parts of this server: which model it runs, and what it may tell.
import type { Redis } from 'ioredis';
import type { EmbeddingCache } from './cache/embedding-cache.ts';
import type { Config } from './config.ts';
import type { EmbedEngine } from './engine/embed.ts';
import type { AnyOperation } from './operation.ts';
import type { Registry } from './registry/registry.ts';
import { prott5Operations } from './surface/prott5/operations.ts';
import type { CacheSource, TritonState } from './surface/prott5/status.ts';

export type Prott5Parts = {
  readonly config: Config;
  readonly engine: EmbedEngine;
  readonly registry: Registry;
  readonly cache: EmbeddingCache | undefined;
  readonly redis: () => Redis | undefined;
  readonly triton: () => TritonState | undefined;
  /** The encoder of proteins in a folder here, by name. */
  readonly local: string | undefined;
};

export function prott5(parts: Prott5Parts): AnyOperation[] {
  const { config, engine, registry, cache, redis, triton, local } = parts;
  return prott5Operations({
    engine,
    registry,
    get triton() {
      return triton();
    },
    // One from the hub is known for what it is once it has been loaded.
    model: () => triton()?.names[0] ?? local ?? registry.list().find(({ manifest }) => manifest?.protein)?.name,
    cache: { stats: () => statsOf(cache), redis: () => redisFacts(redis()) },
    limits: { sequencesMax: config.openaiInputsMax, residuesMax: config.sequenceResiduesMax },
  });
}

function statsOf(cache: EmbeddingCache | undefined): ReturnType<CacheSource['stats']> {
  if (cache === undefined) return { enabled: false, hits: 0, misses: 0, entries: 0, bytes: 0, bytesMax: 0, compressionRatio: 1 };
  const { hits, misses, entries, bytes, bytesMax } = cache.stats.memory;
  return { enabled: true, hits, misses, entries, bytes, bytesMax, compressionRatio: 1 };
}

async function redisFacts(redis: Redis | undefined): ReturnType<CacheSource['redis']> {
  if (redis === undefined) return { status: 'off', memoryBytes: null, keys: null };
  try {
    const [memory, keys] = await Promise.all([redis.info('memory'), redis.dbsize()]);
    return { status: 'up', memoryBytes: Number(/^used_memory:(\d+)/m.exec(memory)?.[1] ?? NaN) || null, keys };
  } catch {
    return { status: 'down', memoryBytes: null, keys: null };
  }
}
