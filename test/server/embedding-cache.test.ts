// The cache through whole servers: many clients at once, two processes on one Redis, and a Redis in trouble.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { RedisServer, skipUnlessRedis } from '../support/redis-server.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { until } from '../support/until.ts';

const skip = skipUnlessRedis();
const tiny = { MODEL_PATH: tinyBertDirectory, MODEL_NAME: 'tiny' };
const inputs = 'ortserve_inputs_total{model="tiny"}';
const hits = (tier: string) => `ortserve_embedding_cache_hits_total{tier="${tier}"}`;

/** Additions in another order, as runs of another size have them; vectors of two texts are a hundred times further apart. */
const differenceMax = 1e-5;

type Answer = { readonly status: number; readonly vectors: readonly string[]; readonly tokens: number; readonly ms: number };

async function embed(server: ServerProcess, input: readonly string[]): Promise<Answer> {
  const startMs = performance.now();
  const body = JSON.stringify({ model: 'tiny', input, encoding_format: 'base64' });
  const response = await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body });
  const json = (await response.json()) as { data?: { embedding: string }[]; usage?: { prompt_tokens: number } };
  const vectors = json.data?.map(({ embedding }) => embedding) ?? [];
  return { status: response.status, vectors, tokens: json.usage?.prompt_tokens ?? 0, ms: performance.now() - startMs };
}

const written = (server: ServerProcess) => server.metric('ortserve_embedding_cache_redis_writes_total{outcome="written"}');

test('64 clients that ask for the same 100 new texts at once have each computed once', async (t) => {
  const server = await startServerProcess(t, tiny);
  const texts = Array.from({ length: 100 }, (_, i) => `text number ${i}`);
  const answers = await Promise.all(Array.from({ length: 64 }, () => embed(server, texts)));
  assert.equal(await server.metric(inputs), 100);
  assert.equal(await server.metric('ortserve_embedding_cache_computed_total'), 100);
  for (const { status, vectors } of answers) assert.deepEqual([status, vectors], [200, answers[0]!.vectors]);
});

test('a hit answers what was computed: vectors, usage, truncation', async (t) => {
  const server = await startServerProcess(t, tiny);
  const ask = async () => {
    const body = JSON.stringify({ model: 'tiny', input: ['short', 'word '.repeat(2000)] });
    const response = await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body });
    return { body: await response.text(), truncated: response.headers.get('x-truncated') };
  };
  const first = await ask();
  assert.ok(first.truncated);
  assert.deepEqual(await ask(), first);
  assert.equal(await server.metric(inputs), 2);
});

test('two servers on one Redis share vectors; another revision of the model never does', { skip }, async (t) => {
  const redis = await RedisServer.start(t);
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(tinyBertDirectory, directory, { recursive: true });
  const one = await startServerProcess(t, { ...tiny, REDIS_URL: redis.url });
  // Its own copy of the files: what counts is their contents.
  const two = await startServerProcess(t, { ...tiny, REDIS_URL: redis.url, MODEL_PATH: directory });
  const revision = await startServerProcess(t, { ...tiny, REDIS_URL: redis.url, POOLING: 'cls' });
  const texts = ['one', 'two', 'three'];
  const first = await embed(one, texts);
  await redis.keys(3);
  const second = await embed(two, [...texts, 'four']);
  assert.deepEqual(second.vectors.slice(0, 3), first.vectors);
  assert.deepEqual([await two.metric(inputs), await two.metric(hits('redis'))], [1, 3]);
  await redis.keys(4);
  const other = await embed(revision, texts);
  assert.deepEqual([await revision.metric(inputs), await revision.metric(hits('redis'))], [3, 0]);
  assert.notDeepEqual(other.vectors, first.vectors);
  assert.equal((await redis.keys(7)).length, 7);
});

test('Redis killed, frozen, flushed, filled with garbage, full: right vectors, no 5xx, no wait beyond the bound', { skip }, async (t) => {
  const redis = await RedisServer.start(t);
  // Without memory every answer passes by Redis.
  const server = await startServerProcess(t, { ...tiny, REDIS_URL: redis.url, EMBEDDING_CACHE_SIZE: '0', EMBEDDING_CACHE_WAIT: '50ms' });
  const reference = await startServerProcess(t, { ...tiny, ENABLE_EMBEDDING_CACHE: 'false' });
  const texts = Array.from({ length: 50 }, (_, i) => `some text ${i}`);
  const { vectors } = await embed(reference, texts);
  assert.ok(difference(vectors[0]!, vectors[1]!) > 100 * differenceMax);
  await embed(server, texts);
  await until(async () => (await written(server)) >= 50, 'all are written');

  const hitsReturn = async () => {
    const before = await server.metric(hits('redis'));
    await until(async () => (await server.metric(hits('redis'))) > before, 'Redis gives hits');
  };
  const trouble: readonly [name: string, start: () => unknown, end?: () => unknown][] = [
    ['none', () => {}],
    ['killed', () => redis.kill(), () => redis.startAgain()],
    ['frozen', () => redis.freeze(), () => redis.thaw()],
    ['flushed', () => redis.client.flushall()],
    ['garbage', () => fillWithGarbage(redis)],
    ['full', () => redis.client.config('SET', 'maxmemory', '1'), () => redis.client.config('SET', 'maxmemory', '0')],
  ];
  for (const [name, start, end] of trouble) {
    const load = startLoad(server, texts, vectors);
    await sleep(50);
    await start();
    await sleep(400);
    await end?.();
    await Promise.race([hitsReturn(), load.failure]);
    const { count, slowestMs } = await load.stop();
    t.diagnostic(`${name}: ${count} requests, p99 ${slowestMs.toFixed(0)} ms`);
    assert.ok(count > 10);
  }
});

async function fillWithGarbage(redis: RedisServer): Promise<void> {
  const keys = await redis.client.keys('*');
  const value = (await redis.client.getBuffer(keys[0]!)) ?? Buffer.from('nothing');
  for (const [i, key] of keys.entries()) {
    await redis.client.set(key, [Buffer.from('garbage'), value, value.subarray(0, 40), Buffer.alloc(2000, i)][i % 4]!);
  }
}

function difference(one: string, other: string): number {
  const [a, b] = [one, other].map((text) => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer));
  return Math.max(...a!.map((value, i) => Math.abs(value - b![i]!)));
}

/** Four clients that ask until stopped; each answer must be right. */
function startLoad(server: ServerProcess, texts: readonly string[], vectors: readonly string[]) {
  const times: number[] = [];
  let isStopped = false;
  const clients = Array.from({ length: 4 }, async (_, client) => {
    for (let i = client; !isStopped; i += 7) {
      const wanted = [i % 50, (i * 3) % 50];
      const answer = await embed(server, wanted.map((at) => texts[at]!));
      assert.equal(answer.status, 200);
      wanted.forEach((at, position) => assert.ok(difference(answer.vectors[position]!, vectors[at]!) < differenceMax));
      times.push(answer.ms);
    }
  });
  const failure = Promise.all(clients).then(() => {});
  failure.catch(() => {});
  return {
    /** Rejects with the first check that failed. */
    failure,
    stop: async (): Promise<{ count: number; slowestMs: number }> => {
      isStopped = true;
      await Promise.all(clients);
      const sorted = times.toSorted((a, b) => a - b);
      return { count: times.length, slowestMs: sorted[Math.floor(sorted.length * 0.99)] ?? 0 };
    },
  };
}

test('a server whose Redis is not there starts, answers and stops', { skip }, async (t: TestContext) => {
  const redis = await RedisServer.start(t);
  await redis.kill();
  const server = await startServerProcess(t, { ...tiny, REDIS_URL: redis.url });
  assert.equal((await embed(server, ['a'])).status, 200);
  assert.equal((await embed(server, ['a'])).status, 200);
  assert.equal(await server.metric(hits('memory')), 1);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});
