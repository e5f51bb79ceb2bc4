// The embedding cache, in front of every batcher: what is known is answered at once, what is being computed is
// waited for, and only what is new is computed. Item by item: a batch with one new text computes one.
import type { EmbedInput, EmbedOptions } from '../backend/protocol.ts';
import type { Batcher } from '../batch/batcher.ts';
import type { Embedded, InputWatcher, Waiter } from '../batch/job.ts';
import { ServerError, toServerError } from '../errors.ts';
import { Flight, Gathering } from './flight.ts';
import { CacheKeys, type StoredPrecision } from './key.ts';
import { MemoryTier, type CachedVector, type Lifetime } from './memory.ts';

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
  /** Inputs that waited for an equal one which was being computed. */
  readonly joins: number;
  /** Inputs that were computed. */
  readonly computed: number;
};

export type EmbeddingCacheOptions = Lifetime & {
  /** Of the tier in this process; 0 for none. */
  readonly memoryBytesMax: number;
  readonly precision: StoredPrecision;
};

export class EmbeddingCache {
  readonly #keys: CacheKeys;
  readonly #memory: MemoryTier | undefined;
  /** What is looked up or computed now, by key. */
  readonly #flights = new Map<string, Flight>();
  #hits = 0;
  #misses = 0;
  #joins = 0;
  #computed = 0;

  constructor(options: EmbeddingCacheOptions) {
    this.#keys = new CacheKeys(options.precision);
    this.#memory = options.memoryBytesMax > 0 ? new MemoryTier(options.memoryBytesMax, options) : undefined;
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
      const vector = memory.get(this.#keys.key(identity, options, inputs[i]!));
      if (vector === undefined) return undefined;
      rows[i] = vector.row;
      tokensGiven[i] = vector.tokensGiven;
      tokensKept[i] = vector.tokensKept;
    }
    this.#hits += count;
    const cache = { hits: count, misses: 0, lookupMs: 0 };
    return { rows, tokensGiven, tokensKept, queueMs: 0, tokenizeMs: 0, inferenceMs: 0, cache };
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
    const lookupMs = performance.now() - startedMs;
    const [computed] = await Promise.all([this.#compute(own, model, options, waiter), gathering.complete]);
    return {
      rows: gathering.rows,
      tokensGiven: gathering.tokensGiven,
      tokensKept: gathering.tokensKept,
      queueMs: computed?.queueMs ?? 0,
      tokenizeMs: computed?.tokenizeMs ?? 0,
      inferenceMs: computed?.inferenceMs ?? 0,
      cache: { hits, misses: inputs.length - hits, lookupMs },
    };
  }

  /** Removes the vectors of a model, or of one input of it, whatever was asked of them; says how many there were. */
  delete(identity: string, input?: EmbedInput): number {
    const prefix = input === undefined ? this.#keys.modelPrefix(identity) : this.#keys.inputPrefix(identity, input);
    return this.#memory?.deleteByPrefix(prefix) ?? 0;
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
      started: (index) => {
        flights[index]!.hasStarted = true;
      },
      completed: (index, row, tokensGiven, tokensKept) => {
        // A view would keep the whole batch in memory.
        this.#land(flights[index]!, { row: row.slice(), tokensGiven, tokensKept });
      },
      dropped: (index) => this.#fail(flights[index]!, new ServerError('CANCELLED')),
    };
  }

  #land(flight: Flight, vector: CachedVector): void {
    this.#computed += 1;
    this.#flights.delete(flight.key);
    this.#memory?.set(flight.key, vector);
    flight.land(vector);
  }

  #fail(flight: Flight, error: ServerError): void {
    this.#flights.delete(flight.key);
    flight.fail(error);
  }
}
