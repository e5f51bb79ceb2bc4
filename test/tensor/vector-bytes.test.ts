import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float16Value } from '../../src/tensor/float16.ts';
import { base64Row, packRows } from '../../src/tensor/vector-bytes.ts';

const pair = [Float32Array.of(0.5, -0.25, 1), Float32Array.of(0, 2, -1)];

test('rows lie one after another in little-endian float32', () => {
  const view = new DataView(packRows(pair, 'float32').buffer);
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((i) => view.getFloat32(i * 4, true)), [0.5, -0.25, 1, 0, 2, -1]);
});

test('float16 rows hold the nearest halves', () => {
  const view = new DataView(packRows(pair, 'float16').buffer);
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((i) => float16Value(view.getUint16(i * 2, true))), [0.5, -0.25, 1, 0, 2, -1]);
});

test('int8 rows hold 127 times the value, clamped', () => {
  assert.deepEqual([...new Int8Array(packRows(pair, 'int8').buffer)], [64, -32, 127, 0, 127, -127]);
});

test('a row that is a view of a larger buffer is written alone', () => {
  const view = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
  assert.deepEqual([...new Float32Array(packRows([view], 'float32').buffer)], [1, 2]);
  assert.deepEqual([...new Float32Array(new Uint8Array(Buffer.from(base64Row(view), 'base64')).buffer)], [1, 2]);
});

test('no rows make no bytes', () => assert.equal(packRows([], 'float32').length, 0));
