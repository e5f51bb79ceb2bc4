import assert from 'node:assert/strict';
import { on } from 'node:events';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { DescribeReply, EmbedReply, Failure, WorkerReply } from '../../src/backend/protocol.ts';
import type { WorkerSettings, WorkerTask } from '../../src/backend/protocol.ts';
import { embedTask, plain, settingsFor, temporaryFolder, tinyModel, width } from './tiny-model.ts';

const entry = new URL('../../native-workers/embedding-worker.js', import.meta.url).href;
const folder = temporaryFolder();

type Run = (task: WorkerTask) => Promise<WorkerReply>;

function poolOf(context: TestContext, settings: WorkerSettings, workers = 1): Run {
  const pool = new Piscina<WorkerTask, WorkerReply>({
    filename: entry, minThreads: workers, maxThreads: workers, concurrentTasksPerWorker: 1, workerData: settings,
  });
  context.after(() => pool.destroy());
  return (task) => pool.run(task);
}

describe('in a pool', () => {
  test('tasks are answered, failures as values', async (context) => {
    const run = poolOf(context, settingsFor(tinyModel(folder)));
    const description = (await run({ kind: 'describe' })) as DescribeReply;
    assert.ok(description.ok);
    assert.equal(description.dimension, width);
    const reply = (await run(embedTask(['one', 'two three', Int32Array.of(4)]))) as EmbedReply;
    assert.ok(reply.ok);
    assert.equal(reply.rows.length, 3 * width);
    assert.deepEqual(reply.rows.subarray(0, width), reply.rows.subarray(2 * width));
    assert.ok((await run({ kind: 'probe', count: 2, tokens: 4 })).ok);
    const refused = (await run(embedTask(['one'], { ...plain, dimension: 99 }))) as Failure;
    const detail = 'The model gives 4 dimensions, not 99.';
    assert.deepEqual(refused, { ok: false, code: 'DIMENSIONS_UNSUPPORTED', detail });
    assert.ok((await run(embedTask(['one']))).ok);
  });

  test('a model that cannot be loaded is a value, its cause not for clients, and later tasks end the worker', async (context) => {
    const model = { ...tinyModel(folder), onnxFile: path.join(folder, 'absent.onnx') };
    const run = poolOf(context, settingsFor(model));
    const { cause, ...shown } = (await run({ kind: 'describe' })) as Failure;
    assert.deepEqual(shown, { ok: false, code: 'MODEL_NOT_READY', detail: 'The model could not be loaded.' });
    assert.match(cause!, /absent\.onnx/);
    await assert.rejects(run(embedTask(['one'])), /exited/);
  });

  test('workers are numbered and share out the devices', async (context) => {
    const run = poolOf(context, { ...settingsFor(tinyModel(folder)), devices: ['cpu', 'npu:7'] }, 2);
    const fallbacks = new Map<number, string | undefined>();
    // A worker that has loaded may take the question meant for one that still loads.
    while (fallbacks.size < 2) {
      const replies = await Promise.all([run({ kind: 'describe' }), run({ kind: 'describe' })]);
      for (const { worker, fallback } of replies as DescribeReply[]) fallbacks.set(worker, fallback);
    }
    assert.equal(fallbacks.get(0), undefined);
    assert.equal(fallbacks.get(1), "The device 'npu:7' is not known.");
  });
});

test('results are transferred, not copied', async (context) => {
  // What Piscina does in a worker, with a look at the memory after it was sent.
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    (async () => {
      const { default: answer } = await import(workerData.entry);
      const { transferableSymbol, valueSymbol } = await import(workerData.piscina);
      const moved = await answer(workerData.task);
      const memory = moved[transferableSymbol];
      parentPort.postMessage(moved[valueSymbol], memory);
      parentPort.postMessage(memory.map((buffer) => buffer.byteLength));
    })();`;
  const settings = settingsFor(tinyModel(folder));
  const workerData = { ...settings, entry, piscina: import.meta.resolve('piscina'), task: embedTask(['one', 'two']) };
  const worker = new Worker(code, { eval: true, workerData });
  context.after(() => worker.terminate());
  // All are kept from here on: the last two may come in one turn.
  const messages = on(worker, 'message');
  const next = async () => ((await messages.next()).value as unknown[])[0];
  await next(); // It has loaded.
  const reply = (await next()) as EmbedReply;
  const left = await next();
  assert.deepEqual([reply.rows.length, reply.tokensGiven.length, reply.tokensKept.length], [2 * width, 2, 2]);
  assert.deepEqual(left, [0, 0, 0]);
});
