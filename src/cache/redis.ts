// The tier in Redis, shared by all servers that compute with the same model. Invariants: it never fails a request and
// never holds one up beyond `waitMsMax`; what it cannot say is a miss, and counted. Nothing is written before the
// answer is out of hand, and what waits to be written is bounded.
import { setImmediate as turn } from 'node:timers/promises';
import { redisCountedKeysMax, redisDecodeSlice, redisLookupKeysMax, redisScanKeys, redisWriteMsMax } from '../limits.ts';
import { Breaker } from './breaker.ts';
import { globOf, type KeyPattern, type StoredPrecision } from './key.ts';
import type { CachedVector, Lifetime } from './memory.ts';
import type { ConnectionLog, Redis } from './redis-connection.ts';
import { RedisWriter, type WriterStats } from './redis-writer.ts';
import { decodeValue } from './vector-value.ts';
import { TooSlow, within } from '../within.ts';

export type RedisTierOptions = Lifetime & {
  /** Owned by the tier from now on. */
  readonly client: Redis;
  readonly precision: StoredPrecision;
  /** A lookup that takes longer is a miss. */
  readonly waitMsMax: number;
  readonly log: ConnectionLog;
};

export type RedisTierStats = WriterStats & {
  readonly hits: number;
  readonly misses: number;
  /** Misses because Redis did not answer in time, was not there, or answered with an error. */
  readonly timeouts: number;
  readonly unavailable: number;
  readonly failures: number;
  /** Misses because the value was not one of ours. */
  readonly invalid: number;
  /** Whether lookups go there now. */
  readonly isUp: boolean;
};

type Sought = { readonly key: string; readonly resolve: (vector: CachedVector | undefined) => void };

const keyPrefix = 'ortserve:embedding:';

export class RedisTier {
  readonly #client: Redis;
  readonly #options: RedisTierOptions;
  readonly #breaker: Breaker;
  readonly #writer: RedisWriter;
  /** Asked for in this turn of the event loop: they go out together. */
  #sought: Sought[] = [];
  #hits = 0;
  #misses = 0;
  #timeouts = 0;
  #unavailable = 0;
  #failures = 0;
  #invalid = 0;

  constructor(options: RedisTierOptions) {
    const { client, log, waitMsMax } = options;
    this.#client = client;
    this.#options = options;
    this.#breaker = new Breaker({
      probe: () => within(waitMsMax, async () => client.status === 'ready' && (await client.ping()) === 'PONG').catch(() => false),
      reconnect: () => {
        if (client.status === 'ready' || client.status === 'connect') client.disconnect(true);
      },
      changed: (isOpen) => {
        if (isOpen) log.warn({}, 'Redis does not answer in time; vectors are computed until it does');
        else log.info({}, 'Redis answers again');
      },
    });
    this.#writer = new RedisWriter({ ...options, keyPrefix, isUp: () => this.isUp, breaker: this.#breaker });
  }

  get isUp(): boolean {
    return this.#client.status === 'ready' && !this.#breaker.isOpen;
  }

  get stats(): RedisTierStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      timeouts: this.#timeouts,
      unavailable: this.#unavailable,
      failures: this.#failures,
      invalid: this.#invalid,
      isUp: this.isUp,
      ...this.#writer.stats,
    };
  }

  /**
   * What it has of these keys, in their order. Undefined when it is not asked. Never rejects; takes at most
   * `waitMsMax` and the time to read the answer.
   */
  find(keys: readonly string[]): Promise<readonly (CachedVector | undefined)[]> | undefined {
    if (!this.isUp) {
      this.#unavailable += keys.length;
      return undefined;
    }
    return Promise.all(keys.map((key) => this.#findOne(key)));
  }

  /** Writes it later, unless too much waits already. */
  write(key: string, vector: CachedVector): void {
    this.#writer.write(key, vector);
  }

  /** Says that a vector was used, so that it stays. It is written again when it is gone. */
  touch(key: string, vector: CachedVector): void {
    this.#writer.touch(key, vector);
  }

  /** How many there were. Rejects when Redis does not answer: whoever deletes must know. */
  async delete(pattern: KeyPattern): Promise<number> {
    await this.#writer.forget(pattern);
    const glob = keyPrefix + globOf(pattern);
    let count = 0;
    let cursor = '0';
    do {
      const step = () => this.#client.scan(cursor, 'MATCH', glob, 'COUNT', redisScanKeys);
      const [next, keys] = await within(redisWriteMsMax, step);
      if (keys.length > 0) count += await within(redisWriteMsMax, () => this.#client.unlink(...keys));
      cursor = next;
    } while (cursor !== '0');
    return count;
  }

  /** Memory of the whole Redis, and its vectors; undefined when it does not say so in time. */
  async usage(): Promise<{ memoryBytes: number; keys: number } | undefined> {
    if (!this.isUp) return undefined;
    try {
      return await within(redisWriteMsMax, async () => {
        const info = await this.#client.info('memory');
        return { memoryBytes: Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0), keys: await this.#count() };
      });
    } catch {
      return undefined;
    }
  }

  /** Writes what waits, for a bounded time, and ends the connection. */
  async close(): Promise<void> {
    await this.#writer.close();
    this.#breaker.close();
    this.#client.disconnect();
  }

  /**
   * Vectors among the keys of Redis, which may hold other things too. Counted while the keys are few; beyond that a
   * sample says their share: SCAN goes by the hash of the keys, so its first steps are one.
   */
  async #count(): Promise<number> {
    let seen = 0;
    let ours = 0;
    let cursor = '0';
    do {
      const [next, keys] = await this.#client.scan(cursor, 'COUNT', redisScanKeys);
      seen += keys.length;
      for (const key of keys) if (key.startsWith(keyPrefix)) ours += 1;
      cursor = next;
    } while (cursor !== '0' && seen < redisCountedKeysMax);
    return cursor === '0' ? ours : Math.round((ours / seen) * (await this.#client.dbsize()));
  }

  #findOne(key: string): Promise<CachedVector | undefined> {
    return new Promise((resolve) => {
      // Requests that arrived together ask together: one command instead of one each.
      if (this.#sought.length === 0) setImmediate(() => this.#ask());
      this.#sought.push({ key, resolve });
    });
  }

  #ask(): void {
    const sought = this.#sought;
    this.#sought = [];
    for (let start = 0; start < sought.length; start += redisLookupKeysMax) {
      void this.#lookUp(sought.slice(start, start + redisLookupKeysMax));
    }
  }

  async #lookUp(sought: readonly Sought[]): Promise<void> {
    let values: readonly (Buffer | null)[];
    try {
      const keys = sought.map(({ key }) => keyPrefix + key);
      values = await within(this.#options.waitMsMax, () => this.#client.mgetBuffer(...keys));
      this.#breaker.succeeded();
    } catch (error) {
      if (error instanceof TooSlow) this.#timeouts += sought.length;
      else this.#failures += sought.length;
      this.#breaker.failed();
      for (const { resolve } of sought) resolve(undefined);
      return;
    }
    for (let i = 0; i < sought.length; i++) {
      // Reading a large answer must not hold up everybody else.
      if (i > 0 && i % redisDecodeSlice === 0) await turn();
      sought[i]!.resolve(this.#read(sought[i]!.key, values[i] ?? null));
    }
  }

  #read(key: string, value: Buffer | null): CachedVector | undefined {
    const stored = value === null ? undefined : decodeValue(key, value);
    if (stored !== undefined) {
      this.#hits += 1;
      return stored;
    }
    this.#misses += 1;
    if (value !== null) this.#invalid += 1;
    return undefined;
  }
}
