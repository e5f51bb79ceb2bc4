// Requests a minute, counted in a real Redis that is then killed.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { RateLimiter } from '../../src/transport/rate-limit.ts';
import { RedisServer, skipUnlessRedis } from '../support/redis-server.ts';
import { until } from '../support/until.ts';
import { echo, serve } from './support.ts';

const skip = skipUnlessRedis();

test('Two servers count in one Redis', { skip }, async (t) => {
  const { client: one } = await startRedis(t);
  const other = one.duplicate();
  t.after(() => other.disconnect());
  await until(() => other.status === 'ready', 'the second client is connected');
  const limiters = [one, other].map((redis) => new RateLimiter({ requestsPerMinute: 3, trustedProxies: 0, redis }));
  const verdicts = [];
  for (let count = 0; count < 5; count += 1) verdicts.push(await limiters[count % 2]!.check('1.1.1.1'));
  const seen = verdicts.map(({ allowed, remaining }) => [allowed, remaining]);
  assert.deepEqual(seen, [[true, 2], [true, 1], [true, 0], [false, 0], [false, 0]]);
  for (const { resetMs } of verdicts) assert.ok(resetMs > 50_000 && resetMs <= 60_000, `${resetMs} ms`);
});

test('When Redis is killed, memory counts on and no request fails', { skip }, async (t) => {
  const { client, server } = await startRedis(t);
  const rateLimiter = new RateLimiter({ requestsPerMinute: 1000, trustedProxies: 0, redis: client });
  const { url } = await serve(t, [echo], { rateLimiter });
  const statuses = new Map<number, number>();
  let isStopped = false;
  const workers = Array.from({ length: 4 }, async () => {
    while (!isStopped) {
      const { status } = await fetch(`${url}/echo`, { method: 'POST', body: 'x' });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      await sleep(2);
    }
  });
  await sleep(200);
  await server.kill();
  await until(() => client.status !== 'ready', 'the client has noticed');
  await sleep(200);
  isStopped = true;
  await Promise.all(workers);
  assert.deepEqual([...statuses.keys()], [200]);
  const { headers } = await fetch(`${url}/echo`, { method: 'POST', body: 'x' });
  assert.ok(Number(headers.get('x-ratelimit-remaining-requests')) < 1000);
});

test('When Redis hangs, a request waits no longer than the client says', { skip }, async (t) => {
  const { client, server } = await startRedis(t);
  const limiter = new RateLimiter({ requestsPerMinute: 2, trustedProxies: 0, redis: client });
  assert.equal((await limiter.check('1.1.1.1')).allowed, true);
  server.freeze();
  const startMs = performance.now();
  const verdicts = await Promise.all(['1.1.1.1', '1.1.1.1', '1.1.1.1'].map((key) => limiter.check(key)));
  assert.ok(performance.now() - startMs < 1000);
  const allowed = verdicts.map((verdict) => verdict.allowed);
  assert.deepEqual(allowed, [true, true, false], 'memory starts anew and then holds the limit');
});

/** A Redis of its own, with a client that fails fast, as the server configures it. */
async function startRedis(t: TestContext): Promise<{ client: Redis; server: RedisServer }> {
  const server = await RedisServer.start(t);
  const client = new Redis({
    host: '127.0.0.1', port: server.port, enableOfflineQueue: false, maxRetriesPerRequest: 1, commandTimeout: 100,
    retryStrategy: () => 50,
  });
  // Killed later: that is what the tests are about.
  client.on('error', () => undefined);
  t.after(() => client.disconnect());
  await until(() => client.status === 'ready', 'the client is connected');
  return { client, server };
}
