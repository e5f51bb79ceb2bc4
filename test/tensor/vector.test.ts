import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeVector } from '../../src/tensor/vector.ts';

test('a vector is scaled to unit length after it is cut', () => {
  const target = new Float32Array(6).fill(9);
  assert.ok(writeVector(Float32Array.of(3, 4, 100), 2, true, target, 1));
  assert.deepEqual([...target], [9, Math.fround(0.6), Math.fround(0.8), 9, 9, 9]);
});

test('a vector is copied as it is where no unit length is wanted', () => {
  const target = new Float32Array(2);
  assert.ok(writeVector(Float32Array.of(3, 4), 2, false, target, 0));
  assert.deepEqual([...target], [3, 4]);
});

test('a zero vector stays zero', () => {
  const target = Float32Array.of(1, 1);
  assert.ok(writeVector(new Float32Array(2), 2, true, target, 0));
  assert.deepEqual([...target], [0, 0]);
});

test('the largest and the smallest floats have a length', () => {
  for (const value of [3.4e38, 1e-10]) {
    const target = new Float32Array(2);
    assert.ok(writeVector(Float32Array.of(value, value), 2, true, target, 0));
    assert.ok(Math.abs(target[0]! - Math.SQRT1_2) < 1e-6);
  }
});

test('a value that is not finite is told', () => {
  for (const value of [NaN, Infinity, -Infinity]) {
    for (const unitLength of [true, false]) {
      assert.equal(writeVector(Float32Array.of(1, value), 2, unitLength, new Float32Array(2), 0), false);
    }
  }
});

test('what is cut off is not looked at', () => {
  assert.ok(writeVector(Float32Array.of(1, NaN), 1, true, new Float32Array(1), 0));
});
