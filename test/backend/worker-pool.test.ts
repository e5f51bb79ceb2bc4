// Pools whose workers do not go the same way: none may be ended while it loads in native code.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { openWorkerPool } from '../../src/backend/worker-pool.ts';
import { ServerError } from '../../src/errors.ts';
import { embeddedModelDirectory } from '../support/fixtures.ts';
import type { SlowTask } from '../support/slow-worker.ts';
import type { UnevenSettings, UnevenTask } from '../support/uneven-worker.ts';

type Described = { readonly ok: true; readonly worker: number; readonly fallback: undefined };

const entry = new URL('../support/uneven-worker.js', import.meta.url);
const onnxFile = path.join(embeddedModelDirectory, 'onnx/model.onnx');
const loadMs = 400;

/** `loads` counts the loads that have begun and those that have ended. */
function openUneven(first: UnevenSettings['first'], workers: number) {
  const settings: UnevenSettings = { onnxFile, loadMs, first, loads: new SharedArrayBuffer(8) };
  const options = { entry, workers, settings, onCrash: () => {} };
  const opening = openWorkerPool<UnevenTask, Described>(options, { kind: 'describe' });
  return { opening, loads: new Int32Array(settings.loads) };
}

const hasCode = (code: string) => (error: unknown) => error instanceof ServerError && error.code === code;

test('a worker that fails while others load ends the pool once they have loaded', async () => {
  const { opening, loads } = openUneven('failed', 3);
  await assert.rejects(opening, /The first worker has failed/);
  assert.deepEqual([...loads], [2, 2]);
});

test('so does one that dies; the thread in its place is not ended while it loads', async () => {
  const { opening, loads } = openUneven('dying', 2);
  await assert.rejects(opening, hasCode('BACKEND_FAILED'));
  assert.deepEqual([...loads], [2, 2]);
});

test('a pool that closes while a new thread loads waits for it', async () => {
  const { opening, loads } = openUneven('ready', 1);
  const { pool, description } = await opening;
  assert.equal(description.worker, 0);
  await assert.rejects(pool.run({ kind: 'die' }), hasCode('BACKEND_FAILED'));
  const closing = pool.close();
  await assert.rejects(pool.run({ kind: 'describe' }), hasCode('MODEL_NOT_READY'));
  await closing;
  assert.deepEqual([...loads], [1, 1]);
});

test('a task beyond the patience fails with all others of the pool, and no more are taken', async () => {
  let stuck = 0;
  const slowEntry = new URL('../support/slow-worker.js', import.meta.url);
  const patience = { taskMsMax: 500, onStuck: () => (stuck += 1) };
  const { pool } = await openWorkerPool<SlowTask, Described>({ entry: slowEntry, workers: 2, settings: {}, onCrash: () => {}, patience }, { taskMs: 0 });
  await pool.run({ taskMs: 100 });
  const outcomes = await Promise.allSettled([pool.run({ taskMs: 2000 }), pool.run({ taskMs: 100 }), pool.run({ taskMs: 1500 })]);
  assert.deepEqual(outcomes.map(({ status }) => status), ['rejected', 'fulfilled', 'rejected']);
  assert.ok(outcomes.every((outcome) => outcome.status === 'fulfilled' || hasCode('MODEL_STUCK')(outcome.reason)));
  await assert.rejects(pool.run({ taskMs: 0 }), hasCode('MODEL_STUCK'));
  // Native code would never let it wait to an end.
  await pool.close();
  assert.equal(stuck, 1);
});
