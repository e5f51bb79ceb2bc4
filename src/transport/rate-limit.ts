// Requests a minute for each client, counted here or, for many replicas, in Redis.
// Invariant: the limiter can refuse a request but never fail one.
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { rateLimitClientsMax } from '../limits.ts';
import type { RateVerdict } from './rate-verdict.ts';

const windowSeconds = 60;

export type RateLimiterOptions = {
  readonly requestsPerMinute: number;
  /** How many proxies of our own stand in front and write X-Forwarded-For; 0 trusts none. */
  readonly trustedProxies: number;
  /**
   * An ioredis client, owned by the caller. It should fail fast (`commandTimeout`, `maxRetriesPerRequest: 1`):
   * a request waits for it, and on failure memory counts instead.
   */
  readonly redis?: object | undefined;
  readonly clientsMax?: number;
};

export class RateLimiter {
  readonly trustedProxies: number;
  readonly #requestsPerMinute: number;
  readonly #memory: BoundedMemory;
  readonly #redis: RateLimiterRedis | undefined;

  constructor({ requestsPerMinute, trustedProxies, redis, clientsMax = rateLimitClientsMax }: RateLimiterOptions) {
    this.trustedProxies = trustedProxies;
    this.#requestsPerMinute = requestsPerMinute;
    this.#memory = new BoundedMemory(requestsPerMinute, clientsMax);
    this.#redis = redis === undefined ? undefined : new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: 'ortserve:rate',
      points: requestsPerMinute,
      duration: windowSeconds,
      // Without a connection ioredis would queue or wait; memory counts at once.
      rejectIfRedisNotReady: true,
      // A client far over its limit costs Redis nothing more.
      inMemoryBlockOnConsumed: requestsPerMinute + 1,
    });
  }

  /** Counts one request of that client. Never rejects. */
  async check(client: string): Promise<RateVerdict> {
    if (this.#redis === undefined) return this.#checkMemory(client);
    try {
      return this.#verdict(true, await this.#redis.consume(client));
    } catch (thrown) {
      if (thrown instanceof RateLimiterRes) return this.#verdict(false, thrown);
      return this.#checkMemory(client);
    }
  }

  async #checkMemory(client: string): Promise<RateVerdict> {
    try {
      return this.#verdict(true, await this.#memory.consume(client));
    } catch (thrown) {
      if (thrown instanceof RateLimiterRes) return this.#verdict(false, thrown);
      return { allowed: true, limit: this.#requestsPerMinute, remaining: 0, resetMs: 0 };
    }
  }

  #verdict(allowed: boolean, { remainingPoints, msBeforeNext }: RateLimiterRes): RateVerdict {
    return { allowed, limit: this.#requestsPerMinute, remaining: remainingPoints, resetMs: Math.max(0, msBeforeNext) };
  }
}

/** The library's memory limiter has a record and a timer for each key and no bound on keys. */
class BoundedMemory {
  readonly #limiter: RateLimiterMemory;
  readonly #clientsMax: number;
  /** Oldest first. Some have expired; deleting those once more is harmless. */
  readonly #clients = new Set<string>();

  constructor(points: number, clientsMax: number) {
    this.#limiter = new RateLimiterMemory({ points, duration: windowSeconds });
    this.#clientsMax = clientsMax;
  }

  consume(client: string): Promise<RateLimiterRes> {
    if (!this.#clients.has(client)) {
      this.#clients.add(client);
      if (this.#clients.size > this.#clientsMax) this.#forgetOldest();
    }
    return this.#limiter.consume(client);
  }

  #forgetOldest(): void {
    for (const oldest of this.#clients) {
      this.#clients.delete(oldest);
      void this.#limiter.delete(oldest);
      return;
    }
  }
}
