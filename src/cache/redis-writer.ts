// What goes to Redis after the answers: new vectors, and the word that a known one was used. One pipeline at a time;
// beyond a bound of bytes new ones are dropped, and all of them while Redis is away.
import { setImmediate as turn } from 'node:timers/promises';
import { redisWriteBatch, redisWriteMsMax, redisWriteQueueBytesMax } from '../limits.ts';
import type { Breaker } from './breaker.ts';
import { matchesKey, type KeyPattern, type StoredPrecision } from './key.ts';
import { vectorBytes, type CachedVector, type Lifetime } from './memory.ts';
import type { Redis } from './redis-connection.ts';
import { encodeValue } from './vector-value.ts';
import { within } from '../within.ts';

export type WriterStats = {
  readonly writes: number;
  /** Refused by Redis, as when its memory is full, or lost with the connection. */
  readonly writeFailures: number;
  /** Not sent: too many waited, or Redis was away. */
  readonly writesDropped: number;
  readonly queuedWrites: number;
  /** Bytes of the vectors that were written, as float32 and as they were stored. */
  readonly rawBytes: number;
  readonly storedBytes: number;
};

export type WriterOptions = Lifetime & {
  readonly client: Redis;
  readonly keyPrefix: string;
  readonly precision: StoredPrecision;
  readonly isUp: () => boolean;
  readonly breaker: Pick<Breaker, 'failed' | 'succeeded'>;
};

type Work = { readonly kind: 'write' | 'touch'; readonly vector: CachedVector };

export class RedisWriter {
  readonly #options: WriterOptions;
  readonly #queue = new Map<string, Work>();
  #queuedBytes = 0;
  #writing: Promise<void> | undefined;
  #sending: Promise<void> | undefined;
  #isClosing = false;
  #writes = 0;
  #writeFailures = 0;
  #writesDropped = 0;
  #rawBytes = 0;
  #storedBytes = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  get stats(): WriterStats {
    return {
      writes: this.#writes,
      writeFailures: this.#writeFailures,
      writesDropped: this.#writesDropped,
      queuedWrites: this.#queue.size,
      rawBytes: this.#rawBytes,
      storedBytes: this.#storedBytes,
    };
  }

  write(key: string, vector: CachedVector): void {
    this.#push(key, { kind: 'write', vector });
  }

  touch(key: string, vector: CachedVector): void {
    this.#push(key, { kind: 'touch', vector });
  }

  /** What waits of these keys is not written any more. Resolves when what was sent is answered, in a bounded time. */
  async forget(pattern: KeyPattern): Promise<void> {
    // A touch that is answered may have to be written.
    await this.#sending;
    for (const [key, { vector }] of this.#queue) {
      if (!matchesKey(pattern, key)) continue;
      this.#queue.delete(key);
      this.#queuedBytes -= vectorBytes(vector);
    }
  }

  /** Resolves when what waits is written or `redisWriteMsMax` is over. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#writing !== undefined) await within(redisWriteMsMax, () => this.#writing!).catch(() => {});
    this.#queue.clear();
  }

  #push(key: string, work: Work): void {
    if (this.#queue.has(key)) return;
    const bytes = vectorBytes(work.vector);
    if (this.#isClosing || !this.#options.isUp() || this.#queuedBytes + bytes > redisWriteQueueBytesMax) {
      this.#writesDropped += 1;
      return;
    }
    this.#queue.set(key, work);
    this.#queuedBytes += bytes;
    this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.size > 0) {
      // The answers of this turn go out first.
      await turn();
      const batch = this.#take();
      if (this.#options.isUp()) await (this.#sending = this.#writeBatch(batch));
      else this.#writesDropped += batch.length;
    }
  }

  #take(): (readonly [string, Work])[] {
    const batch: (readonly [string, Work])[] = [];
    for (const [key, work] of this.#queue) {
      batch.push([key, work]);
      this.#queue.delete(key);
      this.#queuedBytes -= vectorBytes(work.vector);
      if (batch.length === redisWriteBatch) break;
    }
    return batch;
  }

  async #writeBatch(batch: readonly (readonly [string, Work])[]): Promise<void> {
    const { client, keyPrefix, precision, ttlMs, breaker } = this.#options;
    const pipeline = client.pipeline();
    for (const [key, { kind, vector }] of batch) {
      if (kind === 'touch') {
        pipeline.pexpire(keyPrefix + key, ttlMs);
        continue;
      }
      const value = encodeValue(key, vector, precision);
      this.#rawBytes += vector.row.byteLength;
      this.#storedBytes += value.length;
      pipeline.set(keyPrefix + key, value, 'PX', ttlMs);
    }
    try {
      const replies = (await within(redisWriteMsMax, () => pipeline.exec())) ?? [];
      breaker.succeeded();
      replies.forEach(([error, reply], i) => this.#written(batch[i]!, error, reply));
    } catch {
      this.#writeFailures += batch.length;
      breaker.failed();
    }
  }

  #written([key, { kind, vector }]: readonly [string, Work], error: Error | null, reply: unknown): void {
    if (error !== null) this.#writeFailures += 1;
    else if (kind === 'write') this.#writes += 1;
    else if (reply === 0) this.write(key, vector);
  }
}
