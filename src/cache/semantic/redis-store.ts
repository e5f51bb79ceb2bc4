// The store of several servers: entries in Redis, and a log of changes that each server follows.
// Redis is the truth. What it lost is lost and what it has is there: memory is never written back, so what was
// deleted cannot return. While it is away, what is in memory is still found, and nothing can be put or deleted.
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { semanticRedisIdleMs, semanticRedisLogLength, semanticRedisOpenMsMax, semanticRedisTimeoutMs } from '../../limits.ts';
import { encodeRecord } from './record.ts';
import { RedisFollower } from './redis-follower.ts';
import { changeArguments, entryPrefix, scriptKeys, writeLua } from './redis-keys.ts';
import type { Change, SemanticStore, StoreView } from './store.ts';

type Log = { warn(fields: Record<string, unknown>, message: string): void; info(fields: Record<string, unknown>, message: string): void };

export type RedisStoreOptions = {
  readonly url: string;
  readonly log: Log;
  /** Changes that the log keeps about; a server that was away for more reads everything anew. */
  readonly logLength?: number;
};

export class RedisStore implements SemanticStore {
  readonly #options: RedisStoreOptions;
  readonly #origin = randomUUID();
  #redis: Redis | undefined;
  #follower: RedisFollower | undefined;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
  }

  /** Resolves when everything is read, and after a while when Redis is away: what it has comes when it is back. */
  async open(view: StoreView): Promise<void> {
    const { Redis } = await import('ioredis');
    const { url, log } = this.#options;
    // Fails fast and sends nothing twice: whoever writes hears of it.
    const options = {
      enableOfflineQueue: false, maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false, connectTimeout: 1000, retryStrategy: () => 200,
      // A connection may be dead without either side knowing: who reads would wait for ever, and hit what others deleted.
      socketTimeout: semanticRedisIdleMs + semanticRedisTimeoutMs,
    };
    this.#redis = listen(new Redis(url, { ...options, commandTimeout: semanticRedisTimeoutMs }), log);
    // Reading waits for news on a connection of its own: on the other one writes would wait behind it.
    const reader = listen(new Redis(url, options), log);
    this.#follower = new RedisFollower(reader, view, { origin: this.#origin, log });
    await this.#follower.start(semanticRedisOpenMsMax);
  }

  async write(changes: readonly Change[]): Promise<void> {
    const follower = this.#follower!;
    const values = changes.flatMap((change) => changeArguments(change, encodeRecord));
    const head = [this.#origin, entryPrefix, String(this.#options.logLength ?? semanticRedisLogLength), this.#origin];
    const reply = await this.#redis!.eval(writeLua, scriptKeys.length, ...scriptKeys, ...head, ...values);
    const [epoch, seq] = reply as [string, number];
    follower.wrote(changes, epoch, seq);
  }

  async reload(): Promise<void> {
    await this.#follower!.reload(semanticRedisOpenMsMax);
  }

  async close(): Promise<void> {
    await this.#follower?.close();
    this.#redis?.disconnect();
  }
}

function listen(redis: Redis, log: Log): Redis {
  let lastMessage = '';
  redis.on('error', (error: Error) => {
    // It retries for ever; the log hears of a change only.
    if (error.message !== lastMessage) log.warn({ err: error }, 'Redis is not available to the semantic cache');
    lastMessage = error.message;
  });
  redis.on('ready', () => (lastMessage = ''));
  return redis;
}
