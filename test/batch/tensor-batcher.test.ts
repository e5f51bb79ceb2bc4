// The batcher on a backend that runs when the test says so.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TensorBackend, TensorResult, TensorRun } from '../../src/backend/tensor-backend.ts';
import type { BatchPolicy } from '../../src/batch/tensor-batch.ts';
import { TensorBatcher } from '../../src/batch/tensor-batcher.ts';
import { ServerError } from '../../src/errors.ts';
import { joinRows, splitRows } from '../../src/tensor/rows.ts';
import { floats } from '../support/held-tensors.ts';
import { until } from '../support/until.ts';

class StepBackend implements TensorBackend {
  readonly description = { ok: true, worker: 0, inputs: [], outputs: [], provider: 'cpu', fallback: undefined, loadMs: 0 } as const;
  readonly concurrency = 1;
  readonly pending = 0;
  readonly runs: { run: TensorRun; resolve: (result: TensorResult) => void; reject: (error: Error) => void }[] = [];
  closed = false;

  run(run: TensorRun): Promise<TensorResult> {
    return new Promise((resolve, reject) => this.runs.push({ run, resolve, reject }));
  }

  /** Gives its input back. */
  answer(index: number, outputs = this.runs[index]!.run.inputs.map(([, tensor]) => ['y', tensor] as const)): void {
    this.runs[index]!.resolve({ outputs, queueMs: 0, runMs: 1 });
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

const policy: BatchPolicy = { rowsMax: 4, preferredRows: [], queueDelayMs: 0, priorityLevels: 3, defaultPriority: 2 };

function batcher(changes: Partial<BatchPolicy> = {}) {
  const backend = new StepBackend();
  const made = new TensorBatcher(backend, { ...policy, ...changes });
  const ask = (values: readonly number[], more: Partial<TensorRun> = {}): Promise<TensorResult> => {
    return made.run({ inputs: [['x', floats([values.length], ...values)]], outputs: ['y'], isCancelled: () => false, ...more });
  };
  const sizes = () => backend.runs.map(({ run }) => run.inputs[0]![1].shape[0]);
  return { backend, made, ask, sizes };
}

const valuesOf = ({ outputs }: TensorResult): number[] => Array.from(outputs[0]![1].data as Float32Array);

test('requests that wait share runs, and each gets its own rows', async () => {
  const { backend, ask, sizes } = batcher();
  const first = ask([0]);
  await until(() => backend.runs.length === 1, 'the first runs');
  const others = [ask([1, 2]), ask([3]), ask([4, 5]), ask([6])];
  backend.answer(0);
  await until(() => backend.runs.length === 2, 'the second runs');
  backend.answer(1);
  await until(() => backend.runs.length === 3, 'the third runs');
  backend.answer(2);
  assert.deepEqual((await Promise.all([first, ...others])).map(valuesOf), [[0], [1, 2], [3], [4, 5], [6]]);
  assert.deepEqual(sizes(), [1, 3, 3]);
  assert.deepEqual((await Promise.all(others)).map(({ batchRows }) => batchRows), [3, undefined, 3, undefined]);
});

test('a request alone goes in its own memory', async () => {
  const { backend, made } = batcher();
  const tensor = floats([2], 1, 2);
  void made.run({ inputs: [['x', tensor]], outputs: ['y'], isCancelled: () => false });
  await until(() => backend.runs.length === 1, 'it runs');
  assert.equal(backend.runs[0]!.run.inputs[0]![1], tensor);
});

test('a priority goes before those that came earlier', async () => {
  const { backend, ask } = batcher({ rowsMax: 1 });
  void ask([0]);
  await until(() => backend.runs.length === 1, 'the first runs');
  for (const [value, priority] of [[1, 3], [2, undefined], [3, 1], [4, 0]] as const) void ask([value], { priority });
  for (let i = 0; i < 4; i++) {
    backend.answer(i);
    await until(() => backend.runs.length === i + 2, 'the next runs');
  }
  assert.deepEqual(backend.runs.map(({ run }) => (run.inputs[0]![1].data as Float32Array)[0]), [0, 3, 2, 4, 1]);
});

test('what waits too long or for nobody never runs', async () => {
  const { backend, ask } = batcher();
  void ask([0]);
  await until(() => backend.runs.length === 1, 'the first runs');
  let cancelled = false;
  const left = ask([1], { isCancelled: () => cancelled });
  const late = ask([2], { deadlineMs: performance.now() + 15 });
  const waits = ask([3]);
  cancelled = true;
  await Promise.all([assert.rejects(late, { code: 'TIMEOUT' }), assert.rejects(left, { code: 'CANCELLED' })]);
  backend.answer(0);
  await until(() => backend.runs.length === 2, 'the last runs');
  backend.answer(1);
  assert.deepEqual(valuesOf(await waits), [3]);
});

test('what the model refuses fails the request that brought it, and none that shared its run', async () => {
  const { backend, ask, sizes } = batcher({ queueDelayMs: 5 });
  const [good, bad] = [ask([1, 2]), ask([3])];
  await until(() => backend.runs.length === 1, 'they run');
  const other = ask([4]);
  backend.runs[0]!.reject(new ServerError('BACKEND_FAILED'));
  await until(() => backend.runs.length === 2, 'the first runs alone');
  backend.answer(1);
  await until(() => backend.runs.length === 3, 'so does the second');
  backend.runs[2]!.reject(new ServerError('BACKEND_FAILED'));
  await assert.rejects(bad!, { code: 'BACKEND_FAILED' });
  await until(() => backend.runs.length === 4, 'the other runs');
  backend.answer(3);
  assert.deepEqual([valuesOf(await good!), valuesOf(await other)], [[1, 2], [4]]);
  assert.deepEqual(sizes(), [3, 2, 1, 1]);
  assert.deepEqual([(await good!).batchRows, (await other).batchRows], [2, 1]);
});

test('what is not about the inputs reaches every request of its run, and no other', async () => {
  const { backend, ask } = batcher({ queueDelayMs: 5 });
  const together = [ask([1]), ask([2])];
  await until(() => backend.runs.length === 1, 'they run');
  const other = ask([3]);
  backend.runs[0]!.reject(new ServerError('MODEL_STUCK'));
  await Promise.all(together.map((each) => assert.rejects(each, { code: 'MODEL_STUCK' })));
  await until(() => backend.runs.length === 2, 'the other runs');
  backend.answer(1);
  assert.deepEqual(valuesOf(await other), [3]);
});

test('a model that does not give a row for a row fails the run, not the server', async () => {
  const { backend, ask } = batcher({ queueDelayMs: 5 });
  const together = [ask([1]), ask([2])];
  await until(() => backend.runs.length === 1, 'they run');
  backend.answer(0, [['y', floats([1], 1)]]);
  await Promise.all(together.map((each) => assert.rejects(each, { code: 'BACKEND_FAILED' })));
});

test('rows that differ, exceed a run, or a priority out of range are refused', async () => {
  const { made, ask } = batcher();
  const two = { outputs: [], isCancelled: () => false, inputs: [['a', floats([1], 1)], ['b', floats([2], 1, 2)]] } as const;
  await assert.rejects(made.run(two), { code: 'REQUEST_INVALID', field: 'b' });
  await assert.rejects(ask([1, 2, 3, 4, 5]), { code: 'REQUEST_INVALID', field: 'x' });
  await assert.rejects(ask([]), { code: 'REQUEST_INVALID', field: 'x' });
  await assert.rejects(ask([1], { priority: 4 }), { code: 'REQUEST_INVALID', field: 'priority' });
});

test('closing runs what waits, without its delay, and takes nothing more', async () => {
  const { backend, made, ask } = batcher({ queueDelayMs: 60_000 });
  const waiting = ask([1]);
  await sleep(5);
  assert.equal(backend.runs.length, 0);
  const closed = made.close();
  await assert.rejects(ask([2]), { code: 'MODEL_NOT_READY' });
  await until(() => backend.runs.length === 1, 'it runs');
  assert.equal(backend.closed, false);
  backend.answer(0);
  await closed;
  assert.deepEqual([valuesOf(await waiting), backend.closed, made.pending], [[1], true, 0]);
});

test('rows join and split to what they were, strings and empty ones too', () => {
  const numbers = [floats([1, 2], 1, 2), floats([0, 2]), floats([2, 2], 3, 4, 5, 6)];
  const joined = joinRows(numbers);
  assert.deepEqual(joined, floats([3, 2], 1, 2, 3, 4, 5, 6));
  assert.deepEqual(splitRows(joined, [1, 0, 2]), numbers);
  const texts = ['a', 'b'].map((text) => ({ datatype: 'string', shape: [1], data: [text] }) as const).map((tensor) => ({ ...tensor, data: [...tensor.data] }));
  assert.deepEqual(splitRows(joinRows(texts), [1, 1]), texts);
});
