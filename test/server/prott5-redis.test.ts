// The protein service with Redis: what one server has computed another need not, and the numbers are true.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertRight, compute, expectedOf, randomSequences, untilHealthy, type Answer } from '../support/protein-service.ts';
import { RedisServer, skipUnlessRedis } from '../support/redis-server.ts';
import { startServerProcess } from '../support/server-process.ts';
import { skipUnlessTriton, startTritonServer } from '../support/triton-server.ts';

test('a second server answers from what the first has stored, and says what that takes', { skip: skipUnlessTriton() || skipUnlessRedis() }, async (t) => {
  const redis = await RedisServer.start(t);
  const triton = await startTritonServer(t);
  // What is found is the matter here, not how soon.
  const options = { TRITON_URL: triton.address, REDIS_URL: redis.url, EMBEDDING_CACHE_WAIT: '10' };
  const sequences = randomSequences(1000, 12);
  const expected = expectedOf(sequences);

  const first = await startServerProcess(t, options);
  await untilHealthy(first);
  assertRight(((await (await compute(first, { sequences })).json()) as Answer).embeddings, expected, sequences);
  const keys = await redis.keys(sequences.length);
  const computed = await triton.inferences();

  const second = await startServerProcess(t, options);
  await untilHealthy(second);
  const answer = (await (await compute(second, { sequences })).json()) as Answer;
  assertRight(answer.embeddings, expected, sequences);
  assert.deepEqual([answer.cache_stats.hit_rate, answer.timing.cache_hits, answer.timing.triton_calls], [1, 1000, 0]);
  assert.equal(await triton.inferences(), computed);
  t.diagnostic(`second server: ${JSON.stringify(answer.timing)}`);

  const lengths = await Promise.all(keys.map((key) => redis.client.strlen(key)));
  const ratio = lengths.reduce((sum, length) => sum + length, 0) / (sequences.length * 4096);
  // Redis serves others too: their keys are no vectors.
  await redis.client.mset(Object.fromEntries(sequences.map((_, i) => [`another:${i}`, 'x'])));
  const stats = async (server: typeof first) => (await (await fetch(`${server.url}/embeddings/cache/stats`)).json()) as any;
  const { compression_ratio, redis: store, misses } = await stats(first);
  assert.ok(Math.abs(compression_ratio - ratio) < 0.001, `${compression_ratio} told, ${ratio} measured`);
  assert.ok(ratio < 0.5, 'FP16 in FP32 needs less than half');
  assert.deepEqual([store.status, store.keys, misses], ['up', 1000, 1000]);
  assert.ok(store.memory_bytes > 1_000_000);
  const shared = await stats(second);
  assert.deepEqual([shared.hits, shared.misses, shared.hit_rate], [1000, 0, 1]);
  t.diagnostic(`ratio: ${ratio.toFixed(3)}`);

  await triton.kill();
  const known = (await (await compute(second, { sequences })).json()) as Answer;
  assertRight(known.embeddings, expected, sequences);
  await redis.kill();
  // Triton is asked for its health every second.
  const status = async () => (await fetch(`${second.url}/embeddings/health`)).status;
  for (let tries = 0; (await status()) !== 503; tries += 1) {
    assert.ok(tries < 100, 'the loss is told');
    await sleep(100);
  }
});
