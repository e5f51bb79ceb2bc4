// The tier against a real Redis in all the states in which one may find it.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRedis } from '../../src/cache/redis-connection.ts';
import { RedisTier } from '../../src/cache/redis.ts';
import { RedisServer, skipUnlessRedis } from '../support/redis-server.ts';
import { until } from '../support/until.ts';
import { normalRow } from './rows.ts';

const skip = skipUnlessRedis();
const waitMsMax = 100;
const quiet = { warn: () => {}, info: () => {} };
const dayMs = 86_400_000;

const vectorOf = (seed: number) => ({ row: normalRow(384, seed), tokensGiven: 9, tokensKept: 8, livesFromMs: Math.floor(Date.now() / 1000) * 1000 });

async function openTier(t: TestContext, server: RedisServer): Promise<RedisTier> {
  const client = connectRedis(server.url, quiet);
  const tier = new RedisTier({ client, precision: 'lossless', ttlMs: dayMs, sliding: true, waitMsMax, log: quiet });
  t.after(() => tier.close());
  await until(() => tier.isUp, 'Redis is up');
  return tier;
}

async function write(tier: RedisTier, keys: readonly string[]): Promise<void> {
  const { writes } = tier.stats;
  keys.forEach((key, i) => tier.write(key, vectorOf(i + 1)));
  await until(() => tier.stats.writes === writes + keys.length, 'all are written');
}

test('what one writes another finds, with a lifetime', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const [one, other] = [await openTier(t, server), await openTier(t, server)];
  await write(one, ['a', 'b']);
  const [b, none, a] = (await other.find(['b', 'none', 'a']))!;
  assert.deepEqual([a!.row, b!.row, none], [vectorOf(1).row, vectorOf(2).row, undefined]);
  assert.deepEqual([a!.tokensGiven, a!.tokensKept], [9, 8]);
  const { hits, misses, invalid } = other.stats;
  assert.deepEqual([hits, misses, invalid], [2, 1, 0]);
  const leftMs = await server.client.pttl((await server.keys(2))[0]!);
  assert.ok(leftMs > dayMs - 60_000 && leftMs <= dayMs);
});

test('requests of one moment ask with one command', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  await server.client.config('RESETSTAT');
  await Promise.all(Array.from({ length: 50 }, (_, i) => tier.find([`key ${i}`])));
  const stats = await server.client.info('commandstats');
  assert.match(stats, /cmdstat_mget:calls=1,/);
});

test('use prolongs a life, and brings back what is gone', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  await write(tier, ['a']);
  const [key] = await server.keys(1);
  await server.client.pexpire(key!, 1000);
  tier.touch('a', vectorOf(1));
  await until(() => tier.stats.queuedWrites === 0, 'none waits');
  while ((await server.client.pttl(key!)) <= 1000) await sleep(5);
  await server.client.flushall();
  tier.touch('a', vectorOf(1));
  assert.deepEqual(await server.keys(1), [key]);
});

test('what waits to be written when it is deleted is not written afterwards', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  const keys = Array.from({ length: 100 }, (_, i) => `model:${i}:variant`);
  keys.forEach((key, i) => tier.write(key, vectorOf(i + 1)));
  await tier.delete({ model: undefined, input: undefined });
  await until(() => tier.stats.queuedWrites === 0, 'none waits');
  await sleep(50);
  assert.deepEqual(await server.client.keys('*'), []);
});

test('garbage, wrong lengths, swapped values and other types are misses, and written over', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  const names = ['a', 'b', 'c', 'd', 'e'];
  await write(tier, names);
  const [a, b, c, d, e] = await server.keys(5);
  const value = (await server.client.getBuffer(a!))!;
  await server.client.mset(a!, 'garbage', b!, value, c!, value.subarray(0, 99), d!, Buffer.concat([value, value]));
  await server.client.del(e!);
  await server.client.lpush(e!, 'a list');
  assert.deepEqual(await tier.find(names), Array(5).fill(undefined));
  assert.equal(tier.stats.invalid, 4, 'a list reads as nothing');
  await write(tier, names);
  assert.ok((await tier.find(names))!.every((vector) => vector !== undefined));
});

test('a Redis that hangs is waited for no longer than the bound, then not at all; later it is asked again', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  await write(tier, ['a']);
  server.freeze();
  t.after(() => server.thaw());
  for (let i = 0; i < 3; i++) {
    const startMs = performance.now();
    assert.deepEqual(await tier.find(['a']), [undefined]);
    assert.ok(performance.now() - startMs < waitMsMax + 100);
  }
  assert.equal(tier.isUp, false);
  assert.equal(tier.find(['a']), undefined);
  tier.write('b', vectorOf(2));
  assert.equal(tier.stats.writesDropped, 1);
  server.thaw();
  await until(() => tier.isUp, 'Redis is up');
  assert.deepEqual((await tier.find(['a']))![0]!.row, vectorOf(1).row);
});

test('a Redis that is killed is a miss at once, and used again when it is back', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  await server.kill();
  await until(() => !tier.isUp, 'Redis is seen to be down');
  assert.equal(tier.find(['a']), undefined);
  assert.equal(tier.stats.unavailable, 1);
  await server.startAgain();
  await until(() => tier.isUp, 'Redis is up');
  await write(tier, ['a']);
  assert.ok((await tier.find(['a']))![0]);
});

test('a full Redis refuses writes and still answers', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  await write(tier, ['a']);
  await server.client.config('SET', 'maxmemory', '1');
  tier.write('b', vectorOf(2));
  await until(() => tier.stats.writeFailures === 1, 'the write failed');
  assert.equal(tier.isUp, true);
  assert.deepEqual((await tier.find(['a', 'b']))!.map((vector) => vector !== undefined), [true, false]);
  await server.client.config('SET', 'maxmemory', '0');
  await write(tier, ['b']);
});

test('what waits to be written is bounded', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  for (let i = 0; i < 20_000; i++) tier.write(`key ${i}`, vectorOf(1));
  const { queuedWrites, writesDropped } = tier.stats;
  assert.ok(queuedWrites < 5000 && queuedWrites + writesDropped === 20_000, `${queuedWrites} wait`);
});

test('what waits is written before the end', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  for (let i = 0; i < 200; i++) tier.write(`key ${i}`, vectorOf(i));
  await tier.close();
  assert.equal(await server.client.dbsize(), 200);
});

test('vectors are counted among other keys; among very many, nearly', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  for (let i = 0; i < 200; i++) tier.write(`key ${i}`, vectorOf(i));
  await server.keys(200);
  await server.client.set('another', 'x');
  assert.equal((await tier.usage())?.keys, 200);
  await server.client.mset(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`another:${i}`, 'x'])));
  const { keys } = (await tier.usage())!;
  assert.ok(keys > 100 && keys < 300, `${keys} counted`);
});

test('values are deleted by the parts of their keys', { skip }, async (t) => {
  const server = await RedisServer.start(t);
  const tier = await openTier(t, server);
  await server.client.set('of another program', 'stays');
  await write(tier, ['m:a:1', 'm:a:2', 'm:b:1', 'n:a:1', 'n:b:1']);
  assert.equal(await tier.delete({ model: 'm:', input: 'a' }), 2);
  assert.equal(await tier.delete({ model: undefined, input: 'b' }), 2);
  assert.equal(await tier.delete({ model: undefined, input: undefined }), 1);
  assert.equal(await server.client.get('of another program'), 'stays');
});
