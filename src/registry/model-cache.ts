// Which of the loaded models may stay: at most so many at once, and none that nobody used for long.
// Invariant: neither a leased nor a pinned model leaves.
import type { Loaded, Slot } from './slot.ts';

export type CacheOptions = {
  /** Loaded models at once; more are tolerated only while all of them are in use. */
  readonly modelsMax: number;
  /** An idle model leaves after this long; 0 keeps it. */
  readonly idleMsMax: number;
  /** How often idle models are looked for. */
  readonly cleanupIntervalMs: number;
};

type Member = { readonly name: string; readonly slot: Slot<Loaded>; readonly pinned: boolean };

export type Eviction = { readonly name: string; readonly reason: 'lru' | 'ttl' };

export class ModelCache {
  readonly #options: CacheOptions;
  readonly #onEvicted: (eviction: Eviction) => void;
  readonly #members: Member[] = [];
  readonly #timer: NodeJS.Timeout;
  #evictions = 0;

  constructor(options: CacheOptions, onEvicted: (eviction: Eviction) => void = () => {}) {
    this.#options = options;
    this.#onEvicted = onEvicted;
    this.#timer = setInterval(() => this.#evictIdle(), options.cleanupIntervalMs);
    this.#timer.unref();
  }

  get options(): CacheOptions {
    return this.#options;
  }

  get loadedCount(): number {
    return this.#members.filter(({ slot }) => slot.state === 'ready' || slot.state === 'loading').length;
  }

  get evictions(): number {
    return this.#evictions;
  }

  add(name: string, slot: Slot<Loaded>, pinned: boolean): void {
    this.#members.push({ name, slot, pinned });
  }

  /** Lets go of the least recently used idle models beyond the bound. Called when a load begins and when a lease ends. */
  makeRoom(): void {
    let excess = this.loadedCount - this.#options.modelsMax;
    const idle = this.#members.filter(leavable).sort((a, b) => b.slot.idleMs - a.slot.idleMs);
    for (const member of idle) {
      if (excess-- <= 0) return;
      this.#evict(member, 'lru');
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #evictIdle(): void {
    if (this.#options.idleMsMax === 0) return;
    for (const member of this.#members) {
      if (leavable(member) && member.slot.idleMs > this.#options.idleMsMax) this.#evict(member, 'ttl');
    }
  }

  #evict({ name, slot }: Member, reason: Eviction['reason']): void {
    this.#evictions += 1;
    void slot.unload();
    this.#onEvicted({ name, reason });
  }
}

function leavable({ slot, pinned }: Member): boolean {
  return !pinned && slot.state === 'ready' && slot.leases === 0;
}
