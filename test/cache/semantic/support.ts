// A semantic cache for tests: vectors made from words, so that near questions have near vectors without a model.
import type { TestContext } from 'node:test';
import { SemanticCache, type SemanticCacheOptions } from '../../../src/cache/semantic/semantic-cache.ts';
import { MemoryStore } from '../../../src/cache/semantic/store.ts';
import type { Partition } from '../../../src/cache/semantic/types.ts';

export const dimension = 32;
export const model = { identity: 'words-1', dimension };
export const partition: Partition = { namespace: 'one', key: 'k' };

/** The sum of the words' own directions: equal words in any order give one vector. */
export function vectorOf(text: string): Float32Array {
  const vector = new Float32Array(dimension);
  for (const word of text.toLowerCase().split(/\s+/)) {
    let hash = 2166136261;
    for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 16777619) >>> 0;
    for (let i = 0; i < dimension; i++) {
      hash = (hash + 0x9e3779b9) >>> 0;
      const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
      vector[i]! += (Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0) / 2 ** 31 - 1;
    }
  }
  return vector;
}

export const embed = (text: string) => async () => vectorOf(text);

export const never = async (): Promise<Float32Array> => {
  throw new Error('nothing is to be embedded here');
};

export const bytes = (text: string) => new TextEncoder().encode(text);
export const textOf = (answer: Uint8Array) => new TextDecoder().decode(answer);

export const silent = { warn: () => {}, info: () => {} };

export function countingMetrics() {
  const counts: Record<string, number> = {};
  const count = (name: string, by = 1) => void (counts[name] = (counts[name] ?? 0) + by);
  return {
    counts,
    looked: (outcome: string) => count(outcome),
    searched: () => count('searched'),
    falseHit: () => count('falseHit'),
    left: (reason: string, entries: number) => count(reason, entries),
    storeFailed: () => count('storeFailed'),
  };
}

export const limits = { entriesMaxPerNamespace: 1000, bytesMaxPerNamespace: 100e6, bytesMax: 1e9 };

export async function openCache(t: TestContext, options: Partial<SemanticCacheOptions> = {}): Promise<SemanticCache> {
  const cache = await SemanticCache.open({
    model, store: new MemoryStore(), policy: { mode: 'cosine', threshold: 0.85 }, limits, metrics: countingMetrics(), log: silent, ...options,
  });
  t.after(() => cache.close());
  return cache;
}

export function put(cache: SemanticCache, question: string, answer = `answer to ${question}`, where = partition) {
  return cache.put(where, { question, vector: vectorOf(question), answer: bytes(answer) });
}

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
