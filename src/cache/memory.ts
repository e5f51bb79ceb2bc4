// The tier in this process: vectors by key, the least recently used go when their bytes exceed the bound.
import { LRUCache } from 'lru-cache';
import { matchesKey, type KeyPattern } from './key.ts';

/** A vector and what its answer says of the input's tokens. Shared by all who ask: read, never written. */
export type CachedVector = {
  readonly row: Float32Array;
  readonly tokensGiven: number;
  readonly tokensKept: number;
  /** Unix time at which its lifetime in Redis began, as far as is known here; changed when it begins anew. */
  livesFromMs: number;
};

export type Lifetime = {
  readonly ttlMs: number;
  /** Whether use prolongs it; else it ends `ttlMs` after the vector was computed. */
  readonly sliding: boolean;
};

/** Key, objects and the table's own entries, measured: what a vector costs beside its values. */
const overheadBytes = 600;

/** What a vector takes of a bound on memory. */
export function vectorBytes({ row }: CachedVector): number {
  return row.byteLength + overheadBytes;
}

export class MemoryTier {
  readonly #entries: LRUCache<string, CachedVector>;
  readonly #lifetime: Lifetime;
  readonly bytesMax: number;
  #evictions = 0;

  /** @param bytesMax above 0 */
  constructor(bytesMax: number, lifetime: Lifetime) {
    const { ttlMs, sliding } = lifetime;
    this.bytesMax = bytesMax;
    this.#lifetime = lifetime;
    this.#entries = new LRUCache({
      maxSize: bytesMax,
      sizeCalculation: vectorBytes,
      ttl: ttlMs,
      updateAgeOnGet: sliding,
      // How exact a lifetime is; looking at the clock once a second is enough.
      ttlResolution: 1000,
      dispose: (_, __, reason) => {
        if (reason === 'evict') this.#evictions += 1;
      },
    });
  }

  get bytes(): number {
    return this.#entries.calculatedSize;
  }

  get entries(): number {
    return this.#entries.size;
  }

  get evictions(): number {
    return this.#evictions;
  }

  get(key: string): CachedVector | undefined {
    return this.#entries.get(key);
  }

  set(key: string, vector: CachedVector): void {
    const { sliding, ttlMs } = this.#lifetime;
    if (sliding) return void this.#entries.set(key, vector);
    // Elsewhere it may have been computed long ago.
    const leftMs = vector.livesFromMs + ttlMs - Date.now();
    if (leftMs > 0) this.#entries.set(key, vector, { ttl: leftMs });
  }

  /** How many were there. */
  delete(pattern: KeyPattern): number {
    let count = 0;
    for (const key of [...this.#entries.keys()]) {
      if (matchesKey(pattern, key) && this.#entries.delete(key)) count += 1;
    }
    return count;
  }
}
