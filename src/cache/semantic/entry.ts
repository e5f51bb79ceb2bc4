// How an entry begins, is used and ends.
import { newEntryId } from './ids.ts';
import type { Use } from './store.ts';
import type { Entry, NewEntry, Partition } from './types.ts';

export type Lifetime = {
  /** Of entries that bring none; undefined: they never end. */
  readonly ttlMs?: number | undefined;
  readonly sliding?: boolean;
};

export function makeEntry({ namespace, key }: Partition, entry: NewEntry, model: string, nowMs: number, lifetime: Lifetime): Entry {
  const { question, answer, tags = [], ttlMs = lifetime.ttlMs, sliding = lifetime.sliding ?? false } = entry;
  const lives = ttlMs === Infinity ? undefined : ttlMs;
  return {
    id: newEntryId(nowMs), partition: { namespace, key }, question, answer, tags: [...tags], createdMs: nowMs,
    expiresMs: lives === undefined ? undefined : nowMs + lives, ttlMs: lives, sliding, uses: 0, lastUsedMs: nowMs, model,
  };
}

export function useOf(entry: Entry, nowMs: number): Use {
  const expiresMs = entry.sliding && entry.ttlMs !== undefined ? nowMs + entry.ttlMs : entry.expiresMs;
  return { id: entry.id, uses: 1, lastUsedMs: nowMs, expiresMs };
}

export function hasEnded({ expiresMs }: Entry, nowMs: number): boolean {
  return expiresMs !== undefined && expiresMs <= nowMs;
}
