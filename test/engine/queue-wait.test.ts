// A request's own bound on its wait in the queue, on a model that runs when the test says so.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbeddingCache } from '../../src/cache/embedding-cache.ts';
import type { EmbedRequest } from '../../src/engine/embed.ts';
import { Call, type AnyOperation } from '../../src/operation.ts';
import { heldModel } from '../support/held-model.ts';
import { until } from '../support/until.ts';

const newCall = () => new Call({ requestId: 'test', operation: {} as AnyOperation, timeoutMs: 60_000 });

function setup(cached = false) {
  const cache = cached ? new EmbeddingCache({ memoryBytesMax: 100_000, precision: 'lossless', ttlMs: 60_000, sliding: false }) : undefined;
  const held = heldModel({ ...(cache && { cache }) });
  held.backend.flowing = false;
  const ask = async (inputs: string[], more: Partial<EmbedRequest> = {}) => {
    return held.engine.embed({ model: 'held', inputs, fields: { model: 'model', inputs: 'input' }, ...more }, newCall());
  };
  const running = (count: number) => until(() => held.backend.running.length === count, `${count} batches run`);
  return { ...held, ask, running };
}

const late = { code: 'TIMEOUT', message: 'The request waited longer than its timeout allows.' };

test('what waits longer than its own bound never runs and is answered while others still run', async () => {
  const { ask, running, backend, model } = setup();
  const first = ask(['first']);
  await running(1);
  const second = ask(['second']);
  await assert.rejects(ask(['late'], { queueMsMax: 5 }), late);
  backend.running[0]!.release();
  await running(1);
  backend.running[0]!.release();
  await Promise.all([first, second]);
  assert.deepEqual(backend.ran, ['first', 'second']);
  assert.deepEqual([model.statistics.success.count, model.statistics.fail.count], [2, 1]);
  assert.equal(model.slot.leases, 0);
});

test('a request that has begun takes as long as it takes, its later batches too', async () => {
  const { ask, running, backend } = setup();
  const inputs = Array.from({ length: 40 }, (_, i) => `text ${i}`);
  let isOver = false;
  const answer = ask(inputs, { queueMsMax: 300 }).finally(() => (isOver = true));
  await running(1);
  assert.ok(backend.ran.length < inputs.length);
  await new Promise((resolve) => setTimeout(resolve, 400));
  while (!isOver) {
    backend.running[0]?.release();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await answer).rows.length, 40);
});

test('an equal input that somebody else brought is waited for no longer, and runs for them', async () => {
  const { ask, running, backend } = setup(true);
  const first = ask(['first']);
  await running(1);
  const patient = ask(['same']);
  const impatient = ask(['same'], { queueMsMax: 5 });
  await assert.rejects(impatient, late);
  // What runs already is no wait in the queue.
  const aboard = ask(['first'], { queueMsMax: 5 });
  await new Promise((resolve) => setTimeout(resolve, 20));
  backend.running[0]!.release();
  assert.equal((await aboard).rows.length, 1);
  await running(1);
  backend.running[0]!.release();
  await Promise.all([first, patient]);
  assert.deepEqual(backend.ran, ['first', 'same']);
});

test('a bound beyond what timers take is none', async () => {
  const { ask, backend } = setup();
  backend.flowing = true;
  assert.equal((await ask(['a'], { queueMsMax: 2_147_483_000 })).rows.length, 1);
});
