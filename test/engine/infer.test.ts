import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readInputs, type Fields } from '../../src/engine/infer-inputs.ts';
import { infer, inferBatch } from '../../src/engine/infer.ts';
import { ServerError } from '../../src/errors.ts';
import type { TensorInput } from '../../src/registry/tensor-manifest.ts';
import type { DataType, Tensor } from '../../src/tensor/dtypes.ts';
import { floats, heldTensorModel, tensorInput, tensorOutput } from '../support/held-tensors.ts';

const none = floats([0]);

function read(input: TensorInput, value: unknown): Tensor {
  return readInputs([input], { [input.field]: value })[0]![1];
}

function faultOf(input: TensorInput, value: unknown): string | undefined {
  try {
    read(input, value);
  } catch (error) {
    assert.ok(
      error instanceof ServerError && ['REQUEST_INVALID', 'INPUT_TOO_LONG'].includes(error.code),
      String(error),
    );
    assert.ok(error.message.includes(`'${error.field}'`), error.message);
    return error.field;
  }
  return undefined;
}

const base64 = (data: ArrayBufferView): string =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');

describe('an input', () => {
  const input = tensorInput('x', { shape: ['n', 2] });
  const values = Float32Array.of(1, 2, 3, 4);

  test('has one meaning in its four forms', () => {
    const bytes = new Uint8Array(values.buffer);
    for (const value of [
      [
        [1, 2],
        [3, 4],
      ],
      { shape: [2, 2], data: [1, 2, 3, 4] },
      { shape: [2, 2], datatype: 'float32', data: base64(values) },
      { shape: [2, 2], data: bytes },
    ])
      assert.deepEqual(read(input, value), floats([2, 2], 1, 2, 3, 4));
    // The client's bytes stay the client's: the tensor's memory will be transferred.
    assert.equal(bytes.length, 16);
    assert.notEqual((read(input, { shape: [2, 2], data: bytes }).data as Float32Array).buffer, values.buffer);
  });

  test('of one shape needs none beside it', () => {
    assert.deepEqual(read(tensorInput('x', { shape: [2, 2] }), { data: [1, 2, 3, 4] }), floats([2, 2], 1, 2, 3, 4));
    assert.equal(faultOf(input, { data: [1, 2, 3, 4] }), 'x.shape');
  });

  const faults: readonly [value: unknown, field: string][] = [
    [[[1, 2], [3]], 'x[1]'],
    [[1, 2], 'x'],
    [5, 'x'],
    ['AAAA', 'x'],
    [{ shape: [2, 2], data: [1, 2, 3] }, 'x.data'],
    [{ shape: [2, 2], data: [1, 2, 3, 'x'] }, 'x.data[3]'],
    [{ shape: [2, 2], data: base64(values).slice(0, -4) }, 'x.data'],
    [{ shape: [2, 2], data: base64(values).replace('A', '*') }, 'x.data'],
    [{ shape: [2, 2], data: ` ${base64(values)}` }, 'x.data'],
    [{ shape: [2, 2], datatype: 'float64', data: base64(values) }, 'x.datatype'],
    [{ shape: [4, 1], data: [1, 2, 3, 4] }, 'x'],
    [{ shape: [-2, -2], data: [1, 2, 3, 4] }, 'x.shape'],
    [{ shape: [1e9, 1e9], data: [] }, 'x.data'],
    [{ shape: [2 ** 40, 2], data: [] }, 'x.shape'],
    [{ shape: [2 ** 31 - 1, 0], data: [] }, 'x.data'],
    [{ shape: [2, 2] }, 'x.data'],
    [{ shape: [2, 2], data: {} }, 'x.data'],
    [{ shape: [1, 2], data: base64(Float32Array.of(1, NaN)) }, 'x.data[1]'],
    [{ shape: [1, 2], data: base64(Float32Array.of(-Infinity, 1)) }, 'x.data[0]'],
    [{}, 'x.shape'],
  ];
  for (const [value, field] of faults) {
    test(`${JSON.stringify(value)} is refused by the name ${field}`, () => assert.equal(faultOf(input, value), field));
  }

  test('keeps int64 exact in every form', () => {
    const wide = tensorInput('x', { datatype: 'int64' });
    const exact = BigInt64Array.of(9007199254740993n, -(2n ** 63n));
    for (const value of [['9007199254740993', '-9223372036854775808'], { shape: [2], data: base64(exact) }]) {
      assert.deepEqual(read(wide, value).data, exact);
    }
    assert.equal(faultOf(wide, [9007199254740993]), 'x[0]');
  });

  test('of raw bools holds 0 and 1 only, and strings have no bytes', () => {
    assert.equal(
      faultOf(tensorInput('x', { datatype: 'bool' }), { shape: [2], data: base64(Uint8Array.of(1, 2)) }),
      'x.data[1]',
    );
    assert.equal(faultOf(tensorInput('x', { datatype: 'string' }), { shape: [1], data: 'AAAA' }), 'x.data');
  });

  test('must lie in its range, by its bounds as the type stores them', () => {
    for (const datatype of ['float32', 'float64', 'float16'] as DataType[]) {
      const level = tensorInput('level', { datatype, shape: [], range: [0.1, 1] });
      for (const value of [0.1, 1, 0.5]) assert.equal(faultOf(level, value), undefined);
      for (const value of [0.09, 1.01, -1]) assert.equal(faultOf(level, value), 'level');
    }
    const image = tensorInput('image', { shape: ['h', 'w', 1], range: [0, 1] });
    assert.equal(
      faultOf(image, [
        [[0], [1]],
        [[0.5], [2]],
      ]),
      'image[1][1][0]',
    );
    assert.equal(faultOf(image, { shape: [1, 2, 1], data: [0, -1] }), 'image.data[1]');
  });

  test('that is absent, null or empty is its default, in memory of its own', () => {
    const optional = tensorInput('imu', { shape: [6], default: none });
    const table = [optional, optional];
    for (const fields of [{}, { imu: null }, { imu: [] }, { imu: { shape: [0], data: '' } }] as Fields[]) {
      const [[, a], [, b]] = readInputs(table, fields) as [[string, Tensor], [string, Tensor]];
      assert.deepEqual(a, none);
      assert.notEqual((a.data as Float32Array).buffer, (b.data as Float32Array).buffer);
    }
    assert.equal(faultOf(tensorInput('imu', { shape: [6] }), null), 'imu');
    assert.equal(faultOf(optional, [1, 2, 3]), 'imu');
  });

  test('of raw bytes lies in a copy, or where they lie when they are given', () => {
    const bytes = new Uint8Array(Float32Array.of(1, 2).buffer);
    const fields = { x: { shape: [2], data: bytes } };
    const bufferOf = (tensors: ReturnType<typeof readInputs>) => (tensors[0]![1].data as Float32Array).buffer;
    const table = [tensorInput('x', { shape: [2] })];
    assert.notEqual(bufferOf(readInputs(table, fields)), bytes.buffer);
    assert.equal(bufferOf(readInputs(table, fields, true)), bytes.buffer);
    // What Node decodes may lie in its pool, which must not leave the thread.
    const text = { x: { shape: [2], data: base64(bytes) } };
    assert.equal(bufferOf(readInputs(table, text, true)).byteLength, 8);
  });

  test('shares named sizes with the others', () => {
    const table = [tensorInput('a', { shape: ['n'] }), tensorInput('b', { shape: ['n', 1] })];
    assert.equal(readInputs(table, { a: [1], b: [[1]] }).length, 2);
    assert.throws(
      () => readInputs(table, { a: [1], b: [[1], [2]] }),
      (error: ServerError) => error.field === 'b',
    );
  });

  test('is looked up among own fields only', () => {
    assert.throws(() => readInputs([tensorInput('constructor')], {}), /'constructor' is missing/);
  });
});

const request = (fields: Fields) => ({ fields, isCancelled: () => false });

describe('infer', () => {
  const model = () =>
    heldTensorModel({
      inputs: [tensorInput('x', { field: 'value', shape: [] })],
      outputs: [
        tensorOutput('double'),
        tensorOutput('extra', { when: 'return_extra' }),
        tensorOutput('sum', { field: 'total', metric: { as: undefined, better: undefined } }),
      ],
      answer: (inputs) => {
        const value = Number(inputs.get('x')!.data[0]);
        return { double: floats([], value * 2), extra: floats([1], 7), sum: floats([1], value) };
      },
    });

  test('answers outputs in the order of the manifest, metrics apart', async () => {
    const held = model();
    const { outputs, metrics, returnMetrics } = await infer(held, request({ value: 3, version: '1.0' }));
    assert.deepEqual(outputs, [{ field: 'double', tensor: floats([], 6) }]);
    assert.deepEqual([...metrics, returnMetrics], [['total', 3], true]);
    const more = await infer(held, request({ value: 3, return_extra: true, return_metrics: false }));
    assert.deepEqual([more.outputs.map(({ field }) => field), more.returnMetrics], [['double', 'extra'], false]);
    assert.deepEqual([held.stats.requests, held.stats.failures], [2, 0]);
  });

  for (const [fields, field] of [
    [{ value: 3, version: '1.1' }, 'version'],
    [{ value: 3, version: 1 }, 'version'],
    [{ value: 3, return_extra: 'yes' }, 'return_extra'],
    [{ value: 3, return_metrics: 1 }, 'return_metrics'],
    [{}, 'value'],
  ] as const) {
    test(`${JSON.stringify(fields)} is refused by the name ${field}`, async () => {
      const held = model();
      await assert.rejects(
        infer(held, request(fields)),
        (error: ServerError) => error.code === 'REQUEST_INVALID' && error.field === field,
      );
      assert.deepEqual([held.runs.length, held.stats.failures], [0, 1]);
    });
  }

  test('a batch answers each in its place', async () => {
    const results = await inferBatch(
      model(),
      [1, 'x', 3, null, 5].map((value) => request({ value })),
    );
    assert.deepEqual(
      results.map((result) => (result instanceof ServerError ? result.field : result.outputs[0]!.tensor.data[0])),
      [2, 'value', 6, 'value', 10],
    );
    assert.deepEqual(await inferBatch(model(), []), []);
  });

  test('what nobody waits for does not run, and counts as no failure', async () => {
    const held = model();
    await assert.rejects(
      infer(held, { fields: { value: 1 }, isCancelled: () => true }),
      (error: ServerError) => error.code === 'CANCELLED',
    );
    assert.deepEqual([held.stats.requests, held.runs.length], [0, 0]);
  });

  test("a metric that is no single number is the model's fault", async () => {
    const held = heldTensorModel({
      outputs: [tensorOutput('m', { metric: { as: undefined, better: undefined } })],
      answer: () => ({ m: floats([2], 1, 2) }),
    });
    await assert.rejects(infer(held, request({})), (error: ServerError) => error.code === 'BACKEND_FAILED');
  });
});
