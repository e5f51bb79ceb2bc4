import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float16Bits, float16Value } from '../../src/tensor/float16.ts';

test('every binary16 value survives the way there and back', () => {
  for (let half = 0; half < 65_536; half++) {
    const value = float16Value(half);
    if (Number.isNaN(value)) assert.ok(Number.isNaN(float16Value(float16Bits(value))));
    else assert.equal(float16Bits(value), half);
  }
});

test('a value between two halves goes to the nearer one, a tie to the even one', () => {
  for (let half = 0; half < 0x7bff; half++) {
    const low = float16Value(half);
    const high = float16Value(half + 1);
    const middle = (low + high) / 2;
    assert.equal(float16Bits(middle), half % 2 === 0 ? half : half + 1, `tie above ${low}`);
    assert.equal(float16Bits(low + (high - low) * 0.25), half);
    assert.equal(float16Bits(low + (high - low) * 0.75), half + 1);
  }
});

test('a double beside the middle is rounded once, not by way of a float32', () => {
  for (const sign of [1, -1]) {
    for (let half = 0; half < 0x7bff; half++) {
      const middle = (float16Value(half) + float16Value(half + 1)) / 2;
      assert.equal(float16Value(float16Bits(sign * middle * (1 + 2 ** -40))), sign * float16Value(half + 1));
      assert.equal(float16Value(float16Bits(sign * middle * (1 - 2 ** -40))), sign * float16Value(half));
    }
  }
  assert.equal(float16Value(float16Bits(65_520 * (1 - 2 ** -40))), 65_504);
  assert.equal(float16Value(float16Bits(Number.MAX_VALUE)), Infinity);
  assert.equal(float16Bits(-Number.MIN_VALUE), 0x8000);
});

test('what no half can hold is infinite', () => {
  assert.equal(float16Value(float16Bits(65_520)), Infinity);
  assert.equal(float16Value(float16Bits(-1e30)), -Infinity);
  assert.equal(float16Value(float16Bits(65_519)), 65_504);
});
