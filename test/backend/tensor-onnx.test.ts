// Tensor models on real workers: every type through a graph that gives back what it gets.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Worker } from 'node:worker_threads';
import type { TensorBackend, TensorRun } from '../../src/backend/tensor-backend.ts';
import { openTensorBackend } from '../../src/backend/tensor-onnx.ts';
import { ServerError } from '../../src/errors.ts';
import { tensorQueueTasksMax } from '../../src/limits.ts';
import { dataTypes, newData, type Tensor, type TensorData } from '../../src/tensor/dtypes.ts';
import { node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';
import { cpuOptions, demoDirectory } from '../support/tensor-models.ts';
import { until } from '../support/until.ts';

const samples: Readonly<Record<string, TensorData>> = {
  float32: Float32Array.of(0.1, NaN, -Infinity),
  float64: Float64Array.of(0.1, 1e300, -0),
  float16: Uint16Array.of(0x3800, 0x7c00, 1),
  int8: Int8Array.of(-128, 0, 127),
  int16: Int16Array.of(-32_768, 0, 32_767),
  int32: Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1),
  int64: BigInt64Array.of(-(2n ** 63n), 9007199254740993n, 2n ** 63n - 1n),
  uint8: Uint8Array.of(0, 1, 255),
  uint16: Uint16Array.of(0, 1, 65_535),
  uint32: Uint32Array.of(0, 1, 2 ** 32 - 1),
  uint64: BigUint64Array.of(0n, 9007199254740993n, 2n ** 64n - 1n),
  bool: Uint8Array.of(0, 1, 1),
  string: ['', 'ä', '\u{1F600}'],
};

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function opened(t: TestContext, file: string, instances = 1): Promise<TensorBackend> {
  const backend = await openTensorBackend(file, { ...cpuOptions, instances }, () => {});
  t.after(() => backend.close());
  return backend;
}

const run = (inputs: TensorRun['inputs'], outputs: string[], isCancelled = () => false): TensorRun => ({
  inputs,
  outputs,
  isCancelled,
});

function value(size: number): Tensor {
  return { datatype: 'float32', shape: [size], data: Float32Array.from({ length: size }, (_, i) => i / size) };
}

function identityFile(t: TestContext): string {
  const file = path.join(folder(t), 'identity.onnx');
  const parts = {
    nodes: [node('Identity', ['x'], ['y'])],
    inputs: [tensorInfo('x', 'float32', ['n'])],
    outputs: [tensorInfo('y', 'float32', ['n'])],
  };
  writeFileSync(file, onnxModel(parts));
  return file;
}

test('every type goes in and comes back bit for bit', async (t) => {
  const nodes = dataTypes.map((type) => node('Identity', [`in_${type}`], [`out_${type}`]));
  const inputs = dataTypes.map((type) => tensorInfo(`in_${type}`, type, ['n']));
  const outputs = dataTypes.map((type) => tensorInfo(`out_${type}`, type, ['n']));
  const file = path.join(folder(t), 'types.onnx');
  writeFileSync(file, onnxModel({ nodes, inputs, outputs }));
  const backend = await opened(t, file);
  assert.deepEqual(
    backend.description.inputs.map(({ datatype }) => datatype),
    dataTypes,
  );
  assert.deepEqual(backend.description.inputs[0], { name: 'in_float32', datatype: 'float32', shape: ['n'] });
  const given = dataTypes.map(
    (datatype) => [`in_${datatype}`, { datatype, shape: [3], data: samples[datatype]!.slice() }] as const,
  );
  const result = await backend.run(
    run(
      given,
      dataTypes.map((type) => `out_${type}`),
    ),
  );
  for (const [i, datatype] of dataTypes.entries()) {
    assert.deepEqual(result.outputs[i], [`out_${datatype}`, { datatype, shape: [3], data: samples[datatype] }]);
  }
  const empty = dataTypes.map(
    (datatype) => [`in_${datatype}`, { datatype, shape: [0], data: newData(datatype, 0) }] as const,
  );
  const nothing = await backend.run(run(empty, ['out_int64', 'out_string']));
  assert.deepEqual(
    nothing.outputs.map(([, { shape, data }]) => [shape, data.length]),
    [
      [[0], 0],
      [[0], 0],
    ],
  );
});

test('inputs are transferred, not copied, and one that goes out twice is given twice', async (t) => {
  const file = path.join(folder(t), 'twice.onnx');
  const nodes = [node('Identity', ['x'], ['a']), node('Identity', ['x'], ['b'])];
  writeFileSync(
    file,
    onnxModel({
      nodes,
      inputs: [tensorInfo('x', 'float32', ['n'])],
      outputs: ['a', 'b'].map((name) => tensorInfo(name, 'float32', ['n'])),
    }),
  );
  const backend = await opened(t, file);
  const given = value(5);
  const { outputs } = await backend.run(run([['x', given]], ['a', 'b']));
  assert.equal((given.data as Float32Array).byteLength, 0);
  for (const [, { data }] of outputs) assert.deepEqual(data, value(5).data);
});

describe('a run', () => {
  test('that fails is a BACKEND_FAILED whose text holds no path, and the next one is answered', async (t) => {
    const backend = await opened(t, identityFile(t));
    const wrong = backend.run(run([['x', { ...value(4), shape: [2, 2] }]], ['y']));
    await assert.rejects(
      wrong,
      (error: ServerError) => error.code === 'BACKEND_FAILED' && !error.message.includes('/'),
    );
    await assert.rejects(backend.run(run([['z', value(4)]], ['y'])), ServerError);
    assert.deepEqual((await backend.run(run([['x', value(4)]], ['y']))).outputs[0]![1], value(4));
  });

  test('that nobody waits for is dropped before it starts', async (t) => {
    const backend = await opened(t, identityFile(t));
    const first = backend.run(run([['x', value(4)]], ['y']));
    const second = backend.run(run([['x', value(4)]], ['y'], () => true));
    await assert.rejects(second, (error: ServerError) => error.code === 'CANCELLED');
    assert.equal((await first).outputs.length, 1);
    assert.equal(backend.pending, 0);
  });

  test('that waits beyond its deadline is told so while the one before it still runs', async (t) => {
    const file = path.join(folder(t), 'power.onnx');
    const nodes = Array.from({ length: 12 }, (_, i) => node('MatMul', [i === 0 ? 'x' : `x${i}`, 'x'], [i === 11 ? 'y' : `x${i + 1}`]));
    const square = (name: string) => tensorInfo(name, 'float32', ['n', 'n']);
    writeFileSync(file, onnxModel({ nodes, inputs: [square('x')], outputs: [square('y')] }));
    const backend = await opened(t, file);
    const matrix = (size: number): TensorRun['inputs'] => [['x', { datatype: 'float32', shape: [size, size], data: new Float32Array(size ** 2) }]];
    const ended: string[] = [];
    const first = backend.run(run(matrix(1500), ['y'])).then(() => ended.push('first'));
    const late = backend.run({ ...run(matrix(1), ['y']), deadlineMs: performance.now() + 5 });
    await assert.rejects(late, (error: ServerError) => error.code === 'TIMEOUT');
    ended.push('late');
    await first;
    assert.deepEqual(ended, ['late', 'first']);
    assert.equal(backend.pending, 0);
    const inTime = backend.run({ ...run(matrix(1), ['y']), deadlineMs: performance.now() + 60_000 });
    assert.deepEqual((await inTime).outputs[0]![1].shape, [1, 1]);
  });

  test('beyond the queue is refused with a time to wait', async (t) => {
    const backend = await opened(t, identityFile(t));
    const waiting = Array.from({ length: tensorQueueTasksMax + 1 }, () => backend.run(run([['x', value(1)]], ['y'])));
    const refused = backend.run(run([['x', value(1)]], ['y']));
    await assert.rejects(refused, (error: ServerError) => error.code === 'QUEUE_FULL' && error.retryAfterMs! >= 1000);
    assert.equal((await Promise.all(waiting)).length, tensorQueueTasksMax + 1);
  });
});

test('close waits for what was taken and refuses what comes after', async () => {
  const file = path.join(demoDirectory, 'compressor/1.0/model.onnx');
  const backend = await openTensorBackend(file, { ...cpuOptions, instances: 2 }, () => {});
  const image = (): Tensor => ({
    datatype: 'float32',
    shape: [256, 256, 3],
    data: new Float32Array(256 * 256 * 3).fill(0.5),
  });
  const part = (shape: number[]): Tensor => ({ datatype: 'float32', shape, data: new Float32Array(0) });
  const level = (): Tensor => ({ datatype: 'float32', shape: [], data: Float32Array.of(0.5) });
  const runs = Array.from({ length: 12 }, () =>
    backend.run(
      run(
        [
          ['image', image()],
          ['lidar', part([0])],
          ['imu', part([0])],
          ['audio', part([0, 0])],
          ['compression_level', level()],
          ['target_quality', level()],
        ],
        ['predicted_quality'],
      ),
    ),
  );
  const closing = backend.close();
  await assert.rejects(backend.run(run([], [])), (error: ServerError) => error.code === 'MODEL_NOT_READY');
  for (const { outputs } of await Promise.all(runs)) assert.deepEqual(outputs[0]![1].data.length, 1);
  await closing;
});

test('a worker that could not take the place of one that died makes room for one that can', async (t) => {
  const file = identityFile(t);
  const model = readFileSync(file);
  const threads: Worker[] = [];
  const collect = (thread: Worker) => void threads.push(thread);
  process.on('worker', collect);
  t.after(() => process.off('worker', collect));
  const crashes: Error[] = [];
  const backend = await openTensorBackend(file, { ...cpuOptions, instances: 2 }, (error) => crashes.push(error));
  t.after(() => backend.close());
  writeFileSync(file, 'no model');
  await threads[0]!.terminate();
  await until(() => crashes.length === 1, 'the new worker tells that it could not load');
  assert.match(crashes[0]!.message, /could not load/);
  writeFileSync(file, model);
  const both = () => Promise.allSettled([1, 2].map(() => backend.run(run([['x', value(4)]], ['y']))));
  const failed = async () => (await both()).some(({ status }) => status === 'rejected');
  while (!(await failed()));
  for (let round = 0; round < 20; round++) assert.equal(await failed(), false);
  assert.equal(crashes.length, 1);
});

test('a file that is no model rejects from any number of workers, its path not for clients', async (t) => {
  const file = path.join(folder(t), 'broken.onnx');
  writeFileSync(file, 'no model');
  for (const broken of [file, `${file}.absent`]) {
    const opening = openTensorBackend(broken, { ...cpuOptions, instances: 3 }, () => {});
    await assert.rejects(
      opening,
      (error: ServerError) => error.code === 'MODEL_NOT_READY' && !error.message.includes('/'),
    );
  }
});
