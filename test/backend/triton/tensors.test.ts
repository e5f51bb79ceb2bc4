import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesTensor, floats } from '../../../src/backend/triton/tensors.ts';

test('texts are written with their lengths in bytes before them', () => {
  assert.deepEqual([...bytesTensor(['AB', '', 'é'])], [2, 0, 0, 0, 65, 66, 0, 0, 0, 0, 2, 0, 0, 0, 0xc3, 0xa9]);
});

test('floats are read wherever they lie', () => {
  const values = Float32Array.of(1.5, -0, 3e-8);
  const bytes = Buffer.concat([Buffer.from([7]), Buffer.from(values.buffer)]);
  assert.deepEqual(floats(bytes.subarray(1), 'FP32', 3), values);
  const halves = Buffer.from([9, 0x00, 0x3c, 0x00, 0x80, 0x01, 0x00]);
  assert.deepEqual(floats(halves.subarray(1), 'FP16', 3), Float32Array.of(1, -0, 2 ** -24));
});

test('an answer of another size is refused', () => {
  assert.throws(() => floats(new Uint8Array(7), 'FP16', 4), /answered 7 bytes where 8 make the vectors/);
  assert.throws(() => floats(new Uint8Array(16), 'FP32', 2), /answered 16 bytes where 8/);
});
