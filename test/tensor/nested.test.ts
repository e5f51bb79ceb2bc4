import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ServerError } from '../../src/errors.ts';
import { dataTypes, newData, type DataType, type Tensor } from '../../src/tensor/dtypes.ts';
import { readFlat, readNested, writeNested } from '../../src/tensor/nested.ts';

function refusal(act: () => unknown): { code: string; field: string | undefined; message: string } {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof ServerError);
    return { code: error.code, field: error.field, message: error.message };
  }
  return assert.fail('nothing was refused');
}

const written = (tensor: Tensor): unknown => JSON.parse(Buffer.from(writeNested(tensor)).toString());

describe('readNested', () => {
  test('takes lists of any depth, and a single value', () => {
    assert.deepEqual(
      readNested(
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
        'float32',
        'x',
      ),
      { datatype: 'float32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    );
    assert.deepEqual(readNested(0.5, 'float64', 'x'), { datatype: 'float64', shape: [], data: Float64Array.of(0.5) });
    assert.deepEqual(readNested([], 'int8', 'x'), { datatype: 'int8', shape: [0], data: new Int8Array(0) });
    assert.deepEqual(readNested([[], []], 'int8', 'x').shape, [2, 0]);
    assert.deepEqual(readNested([['a', '']], 'string', 'x').data, ['a', '']);
    assert.deepEqual(readNested([true, false, 1, 0], 'bool', 'x').data, Uint8Array.of(1, 0, 1, 0));
  });

  const ragged: readonly [value: unknown, field: string][] = [
    [
      [
        [[1], [1]],
        [[1], [1, 2]],
      ],
      'image[1][1]',
    ],
    [[[[1], [1]], [[1]]], 'image[1]'],
    [[[[1], [1]], 5], 'image[1]'],
    [
      [
        [[1], [1]],
        [[1], 2],
      ],
      'image[1][1]',
    ],
    [
      [
        [1, 2],
        [1, [2]],
      ],
      'image[1][1]',
    ],
    [[1, null], 'image[1]'],
    [[1, '2'], 'image[1]'],
    [['1'], 'image[0]'],
    [[[], [1]], 'image[1]'],
    ['1', 'image'],
    [{}, 'image'],
    [[{}], 'image[0]'],
    [[1e999], 'image[0]'],
    [[1, 3.5e38], 'image[1]'],
  ];
  for (const [value, field] of ragged) {
    test(`names ${field} of ${JSON.stringify(value)}`, () => {
      const { code, field: named, message } = refusal(() => readNested(value, 'float32', 'image'));
      assert.equal(code, 'REQUEST_INVALID');
      assert.equal(named, field);
      assert.ok(message.startsWith(`'${field}' `));
    });
  }

  test('refuses what a type cannot hold, and takes its bounds', () => {
    const bounds: readonly [DataType, unknown[], unknown[]][] = [
      ['int8', [-128, 127], [-129, 128, 0.5, '1', true]],
      ['uint8', [0, 255], [-1, 256]],
      ['int16', [-32_768, 32_767], [32_768]],
      ['uint16', [65_535], [65_536]],
      ['int32', [-(2 ** 31), 2 ** 31 - 1], [2 ** 31]],
      ['uint32', [2 ** 32 - 1], [2 ** 32, -1]],
      [
        'int64',
        [2 ** 53 - 1, '9223372036854775807', '-9223372036854775808'],
        [2 ** 53, '9223372036854775808', '1.0', '', '0x1', 1e300],
      ],
      ['uint64', ['18446744073709551615'], ['18446744073709551616', '-1', -1]],
      ['float16', [65_504, -65_504], [65_520, 1e5]],
      ['float32', [3.4028234663852886e38], [3.5e38]],
      ['float64', [1.7e308], [1e999]],
      ['bool', [true, 0], [2, 'true', null]],
      ['string', ['', '\u{1F600}'], [1, null]],
    ];
    assert.deepEqual(bounds.map(([type]) => type).sort(), [...dataTypes].sort());
    for (const [type, good, bad] of bounds) {
      for (const value of good) assert.doesNotThrow(() => readNested([value], type, 'x'), `${type} ${String(value)}`);
      for (const value of bad)
        assert.equal(refusal(() => readNested([value], type, 'x')).field, 'x[0]', `${type} ${String(value)}`);
    }
  });

  test('ends at the deepest rank and the most elements', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 9; i++) deep = [deep];
    assert.match(refusal(() => readNested(deep, 'float32', 'x')).message, /deep/);
    // Lists that claim to go on: what is counted is the first of each depth.
    const wide = Array.from({ length: 8192 }, () => 0);
    const claims = Array.from({ length: 8193 }, () => wide);
    assert.equal(refusal(() => readNested(claims, 'float32', 'x')).code, 'INPUT_TOO_LONG');
  });
});

test('readFlat counts what the shape asks for', () => {
  assert.deepEqual(readFlat([1, 2, 3, 4], [2, 2], 'int32', 'x.data').shape, [2, 2]);
  assert.match(refusal(() => readFlat([1, 2, 3], [2, 2], 'int32', 'x.data')).message, /3 values.*\[2, 2\].*4/);
  assert.equal(refusal(() => readFlat([1, 2, 3, 'x'], [2, 2], 'int32', 'x.data')).field, 'x.data[3]');
  assert.equal(refusal(() => readFlat([], [2 ** 31 - 1, 2 ** 31 - 1, 2], 'int32', 'x')).code, 'INPUT_TOO_LONG');
  assert.equal(refusal(() => readFlat([], [2 ** 31 - 1, 0], 'int32', 'x')).code, 'INPUT_TOO_LONG');
});

describe('writeNested', () => {
  test('reads back the same in every numeric type', () => {
    for (const datatype of dataTypes.filter((type) => type !== 'string' && type !== 'bool' && !type.endsWith('64'))) {
      for (const shape of [[], [0], [3], [2, 3], [2, 0], [0, 2], [1, 2, 3, 2], [2, 0, 3]]) {
        const count = shape.reduce((product, size) => product * size, 1);
        const nested = shape.reduceRight<(at: number) => unknown>(
          (inner, size, depth) => {
            const step = shape.slice(depth + 1).reduce((product, each) => product * each, 1);
            return (at) => Array.from({ length: size }, (_, i) => inner(at + i * step));
          },
          (at) => at % 100,
        )(0);
        const tensor = readFlat(
          Array.from({ length: count }, (_, i) => i % 100),
          shape,
          datatype,
          'x',
        );
        assert.deepEqual(written(tensor), nested, `${datatype} ${shape.join()}`);
      }
    }
  });

  test('keeps every digit of int64', () => {
    const data = BigInt64Array.of(9007199254740993n, -(2n ** 63n));
    const text = Buffer.from(writeNested({ datatype: 'int64', shape: [2], data })).toString();
    assert.equal(text, '[9007199254740993,-9223372036854775808]');
  });

  test('writes float32 in the fewest digits, and null for what JSON has not', () => {
    const text = (tensor: Tensor): string => Buffer.from(writeNested(tensor)).toString();
    assert.equal(
      text({ datatype: 'float32', shape: [1, 4], data: Float32Array.of(0.1, NaN, -Infinity, 2) }),
      '[[0.1,null,null,2]]',
    );
    assert.equal(text({ datatype: 'float64', shape: [2], data: Float64Array.of(0.1, Infinity) }), '[0.1,null]');
    assert.equal(text({ datatype: 'float64', shape: [2], data: Float64Array.of(-0, 0) }), '[-0.0,0]');
    assert.equal(text({ datatype: 'bool', shape: [2], data: Uint8Array.of(1, 0) }), '[true,false]');
    assert.equal(text({ datatype: 'string', shape: [2], data: ['"', '\n'] }), '["\\"","\\n"]');
  });

  test('finds room for many tiny lists', () => {
    const shape = [50, 1, 1, 1, 1, 1, 1, 1];
    const data = newData('float32', 50) as Float32Array;
    data.fill(-1.1754944e-38);
    assert.equal(JSON.stringify(written({ datatype: 'float32', shape, data })).includes('-1.1754944e-38'), true);
    assert.equal(
      (written({ datatype: 'float32', shape: [400, 0], data: new Float32Array(0) }) as unknown[]).length,
      400,
    );
  });
});
