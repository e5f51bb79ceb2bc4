// The embedding cache, in front of every batcher: what is known is answered at once, what is being computed is
// waited for, and only what is new is computed. Item by item: a batch with one new text computes one.
import type { EmbedInput, EmbedOptions } from '../backend/protocol.ts';
import type { Batcher } from '../batch/batcher.ts';
import type { Embedded, InputWatcher, Waiter } from '../batch/job.ts';
import { ServerError, toServerError } from '../errors.ts';
import { touchShare } from '../limits.ts';
import { Flight, Gathering } from './flight.ts';
import { CacheKeys, matchesKey, type KeyPattern, type StoredPrecision } from './key.ts';
import { MemoryTier, type CachedVector, type Lifetime } from './memory.ts';
import type { RedisTier, RedisTierStats } from './redis.ts';

/** What computes, and what it is called in keys. */
export type CachedModel = { readonly identity: string; readonly batcher: Pick<Batcher, 'embed'> };

/** Of one request's inputs. */
export type CacheUse = {
  /** Taken from the cache. */
  readonly hits: number;
  /** Not there: computed for this request, or with another that asked for the same. */
  readonly misses: number;
  /** How long looking them up took. */
  readonly lookupMs: number;
};

export type CachedEmbedded = Embedded & { readonly cache: CacheUse };

/** Totals since the start, and what is held now. */
export type EmbeddingCacheStats = {
  readonly memory: {
    readonly hits: number;
    readonly misses: number;
    readonly entries: number;
    readonly bytes: number;
    readonly bytesMax: number;
    readonly evictions: number;
  };
  /** Undefined where there is none. */
  readonly redis: RedisTierStats | undefined;
  /** Inputs that waited for an equal one which was being computed. */
  readonly joins: number;
  /** Inputs that were computed. */
  readonly computed: number;
};

export type EmbeddingCacheOptions = Lifetime & {
  /** Of the tier in this process; 0 for none. */
  readonly memoryBytesMax: number;
  readonly precision: StoredPrecision;
  /** Closed with the cache. */
  readonly redis?: RedisTier | undefined;
};

export class EmbeddingCache {
  readonly #keys: CacheKeys;
  readonly #memory: MemoryTier | undefined;
  readonly #redis: RedisTier | undefined;
  /** How old a lifetime must be for a use to begin it anew. */
  readonly #touchMs: number;
  /** What is looked up or computed now and will be kept, by key. */
  readonly #flights = new Map<string, Flight>();
  #hits = 0;
  #misses = 0;
  #joins = 0;
  #computed = 0;

  constructor(options: EmbeddingCacheOptions) {
    this.#keys = new CacheKeys(options.precision);
    this.#memory = options.memoryBytesMax > 0 ? new MemoryTier(options.memoryBytesMax, options) : undefined;
    this.#redis = options.redis;
    this.#touchMs = options.sliding ? options.ttlMs * touchShare : Infinity;
  }

  get stats(): EmbeddingCacheStats {
    const memory = this.#memory;
    return {
      memory: {
        hits: this.#hits,
        misses: this.#misses,
        entries: memory?.entries ?? 0,
        bytes: memory?.bytes ?? 0,
        bytesMax: memory?.bytesMax ?? 0,
        evictions: memory?.evictions ?? 0,
      },
      redis: this.#redis?.stats,
      joins: this.#joins,
      computed: this.#computed,
    };
  }

  /** All vectors at once when this process has every one of them, else undefined. `options` is shared. */
  peek(identity: string, inputs: readonly EmbedInput[], options: EmbedOptions): CachedEmbedded | undefined {
    const memory = this.#memory;
    if (memory === undefined || memory.entries === 0) return undefined;
    const count = inputs.length;
    const rows = new Array<Float32Array>(count);
    const tokensGiven = new Int32Array(count);
    const tokensKept = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      const key = this.#keys.key(identity, options, inputs[i]!);
      const vector = memory.get(key);
      if (vector === undefined) return undefined;
      this.#used(key, vector);
      rows[i] = vector.row;
      tokensGiven[i] = vector.tokensGiven;
      tokensKept[i] = vector.tokensKept;
    }
    this.#hits += count;
    const cache = { hits: count, misses: 0, lookupMs: 0 };
    return { rows, tokensGiven, tokensKept, queueMs: 0, tokenizeMs: 0, inferenceMs: 0, batches: 0, cache };
  }

  /** As the model's batcher embeds, but for what need not be computed. Rejects as it does. `options` is shared. */
  async embed(
    model: CachedModel, inputs: readonly EmbedInput[], options: EmbedOptions, waiter: Waiter,
  ): Promise<CachedEmbedded> {
    const startedMs = performance.now();
    const gathering = new Gathering(inputs.length, waiter);
    const own: Flight[] = [];
    let hits = 0;
    inputs.forEach((input, index) => {
      const key = this.#keys.key(model.identity, options, input);
      const known = this.#memory?.get(key);
      if (known !== undefined) {
        hits += 1;
        this.#used(key, known);
        return gathering.put(index, known);
      }
      let flight = this.#flights.get(key);
      if (flight === undefined) {
        flight = new Flight(key, input);
        this.#flights.set(key, flight);
        own.push(flight);
      } else {
        this.#joins += 1;
      }
      flight.board(gathering, index);
    });
    this.#hits += hits;
    this.#misses += inputs.length - hits;
    const computing = this.#lookUp(own).then(({ missing, found }) => {
      hits += found;
      lookupMs = performance.now() - startedMs;
      return this.#compute(missing, model, options, waiter);
    });
    let lookupMs = 0;
    const [computed] = await Promise.all([computing, gathering.complete]);
    return {
      rows: gathering.rows,
      tokensGiven: gathering.tokensGiven,
      tokensKept: gathering.tokensKept,
      queueMs: computed?.queueMs ?? 0,
      tokenizeMs: computed?.tokenizeMs ?? 0,
      inferenceMs: computed?.inferenceMs ?? 0,
      batches: computed?.batches ?? 0,
      cache: { hits, misses: inputs.length - hits, lookupMs },
    };
  }

  /**
   * Removes the vectors of a model, of an input, or of one input of one model, whatever was asked of them; without
   * either, all. Says how many there were here or in Redis, whichever had more. Rejects with what Redis says.
   */
  async delete({ identity, input }: { identity?: string | undefined; input?: EmbedInput | undefined }): Promise<number> {
    const pattern = this.#keys.pattern(identity, input);
    const here = this.#forget(pattern);
    if (this.#redis === undefined) return here;
    const there = await this.#redis.delete(pattern);
    // Redis had them for a moment longer.
    this.#forget(pattern);
    return Math.max(here, there);
  }

  /** Memory of the whole Redis, and its vectors; undefined where there is none, or it does not say. */
  async redisUsage(): Promise<{ memoryBytes: number; keys: number } | undefined> {
    return this.#redis?.usage();
  }

  /** Writes what waits, for a bounded time. */
  async close(): Promise<void> {
    await this.#redis?.close();
  }

  /** Ends the flights whose vectors Redis has, or that nobody waits for any more; the others are missing. */
  async #lookUp(flights: readonly Flight[]): Promise<{ missing: readonly Flight[]; found: number }> {
    const asked = flights.length === 0 ? undefined : this.#redis?.find(flights.map(({ key }) => key));
    if (asked === undefined) return { missing: flights, found: 0 };
    const vectors = await asked;
    let found = 0;
    const missing = flights.filter((flight, i) => {
      const vector = vectors[i];
      if (vector !== undefined) {
        found += 1;
        if (this.#end(flight)) {
          this.#memory?.set(flight.key, vector);
          this.#used(flight.key, vector);
        }
        flight.land(vector);
      } else if (!flight.isWanted) {
        this.#fail(flight, new ServerError('CANCELLED'));
      }
      return !flight.hasEnded;
    });
    return { missing, found };
  }

  /** A use prolongs a vector's life in Redis, too. */
  #used(key: string, vector: CachedVector): void {
    if (this.#redis === undefined) return;
    const nowMs = Date.now();
    if (nowMs - vector.livesFromMs < this.#touchMs) return;
    vector.livesFromMs = nowMs;
    this.#redis.touch(key, vector);
  }

  /** Ends each of these flights. Says what computing took; undefined when there was none. Never rejects. */
  async #compute(
    flights: readonly Flight[], model: CachedModel, options: EmbedOptions, waiter: Waiter,
  ): Promise<Embedded | undefined> {
    if (flights.length === 0) return undefined;
    try {
      const inputs = flights.map(({ input }) => input);
      return await model.batcher.embed(inputs, options, waiter, this.#watcher(flights));
    } catch (error) {
      for (const flight of flights) if (!flight.hasEnded) this.#fail(flight, toServerError(error));
      return undefined;
    }
  }

  #watcher(flights: readonly Flight[]): InputWatcher {
    return {
      isWanted: (index) => flights[index]!.isWanted,
      deadlineMs: (index) => flights[index]!.deadlineMs,
      started: (index) => flights[index]!.start(),
      completed: (index, row, tokensGiven, tokensKept) => {
        // A view would keep the whole batch in memory.
        this.#land(flights[index]!, { row: row.slice(), tokensGiven, tokensKept, livesFromMs: Date.now() });
      },
      dropped: (index) => this.#fail(flights[index]!, new ServerError('CANCELLED')),
    };
  }

  #land(flight: Flight, vector: CachedVector): void {
    this.#computed += 1;
    if (this.#end(flight)) {
      this.#memory?.set(flight.key, vector);
      this.#redis?.write(flight.key, vector);
    }
    flight.land(vector);
  }

  #fail(flight: Flight, error: ServerError): void {
    this.#end(flight);
    flight.fail(error);
  }

  /** False for one that was forgotten meanwhile: its vector is for those who wait, and is not kept. */
  #end(flight: Flight): boolean {
    return this.#flights.get(flight.key) === flight && this.#flights.delete(flight.key);
  }

  /** How many vectors there were in this process. */
  #forget(pattern: KeyPattern): number {
    for (const key of [...this.#flights.keys()]) if (matchesKey(pattern, key)) this.#flights.delete(key);
    return this.#memory?.delete(pattern) ?? 0;
  }
}
