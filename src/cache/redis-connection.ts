// Connections to Redis that fail fast and never queue commands: whoever uses one has another way.
import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';

export type { Redis } from 'ioredis';

/** What a connection has to say to the operator. */
export type ConnectionLog = { warn(fields: object, message: string): void; info(fields: object, message: string): void };

/** Connects in the background and again whenever it is lost. The caller disconnects it. */
export function connectRedis(url: string, log: ConnectionLog, changes: Pick<RedisOptions, 'commandTimeout'> = {}): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    // A command whose answer was lost is not asked again: nobody waits for it any more.
    autoResendUnfulfilledCommands: false,
    connectTimeout: 1000,
    retryStrategy: (times) => Math.min(1000, 50 * 2 ** Math.min(times, 5)),
    ...changes,
  });
  let lastMessage = '';
  redis.on('error', (error: Error) => {
    // It retries for ever; the log hears of a change only.
    if (error.message !== lastMessage) log.warn({ err: error }, 'Redis is not available');
    lastMessage = error.message;
  });
  redis.on('ready', () => {
    if (lastMessage !== '') log.info({}, 'Redis is available again');
    lastMessage = '';
  });
  return redis;
}
