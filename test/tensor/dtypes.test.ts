import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyTensor, dataOfBytes, elementNumber } from '../../src/tensor/dtypes.ts';

test('raw bytes are copied from wherever they lie into memory of their own', () => {
  const bytes = new Uint8Array(17);
  bytes.set(new Uint8Array(Float64Array.of(0.1, -2).buffer), 1);
  const data = dataOfBytes('float64', bytes.subarray(1));
  assert.deepEqual(data, Float64Array.of(0.1, -2));
  assert.equal(data.buffer.byteLength, 16);
  assert.deepEqual(dataOfBytes('int64', bytes.subarray(1, 9)).length, 1);
});

test('elements are read as numbers', () => {
  assert.equal(elementNumber({ datatype: 'float16', shape: [1], data: Uint16Array.of(0x3800) }, 0), 0.5);
  assert.equal(elementNumber({ datatype: 'int64', shape: [1], data: BigInt64Array.of(-7n) }, 0), -7);
  assert.equal(elementNumber({ datatype: 'string', shape: [1], data: ['7'] }, 0), NaN);
});

test('a copy shares no memory', () => {
  const data = Float32Array.of(1);
  const copy = copyTensor({ datatype: 'float32', shape: [1], data });
  data[0] = 2;
  assert.deepEqual(copy.data, Float32Array.of(1));
});
