import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floatTextBytesMax, writeFloats } from '../../src/tensor/float-text.ts';

function text(values: ArrayLike<number>): string {
  const floats = Float32Array.from(values);
  const target = new Uint8Array(floatTextBytesMax(floats.length));
  return Buffer.from(target.subarray(0, writeFloats(target, 0, floats))).toString('latin1');
}

test('every float32 reads back as itself', () => {
  const words = new Uint32Array(1);
  const floats = new Float32Array(words.buffer);
  let state = 1;
  for (let i = 0; i < 300_000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[0] = state;
    if (!Number.isFinite(floats[0]!)) continue;
    const value = floats[0]!;
    assert.ok(Object.is(Math.fround(Number(JSON.parse(`[${text([value])}]`)[0])), value));
  }
});

test('values of an embedding read back and take at most fifteen characters', () => {
  let state = 7;
  for (let i = 0; i < 300_000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = Math.fround((state / 2 ** 32 - 0.5) * 0.3);
    const written = text([value]);
    assert.equal(Math.fround(Number(written)), value, written);
    if (Math.abs(value) > 1e-4) assert.ok(written.length <= 15, written);
  }
});

test('values above one read back and have the fewest digits', () => {
  let state = 11;
  for (let i = 0; i < 100_000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = Math.fround((state % 2 === 0 ? 1 : -1) * 2 ** ((state / 2 ** 32) * 23));
    const written = text([value]);
    assert.match(written, /^-?[1-9]\d*(\.\d*[1-9])?$/);
    assert.equal(Math.fround(Number(written)), value, written);
    const digits = written.replace(/[-.]/g, '').length;
    if (digits > 1 && written.includes('.')) assert.notEqual(Math.fround(Number(value.toPrecision(digits - 1))), value, written);
  }
});

test('the shortest digits are chosen', () => {
  assert.equal(text([0.1, -0.25, 0.5, 1, -1, 0, 0.2000000030]), '0.1,-0.25,0.5,1,-1,0,0.2');
  assert.equal(text([1e-7, 123456.7, 3.4e38, 1e-45]), '1e-7,123456.7,3.4e+38,1e-45');
  // Readers that tell integers from floats would lose the sign of -0.
  assert.equal(text([-0]), '-0.0');
});

test('the stated bound holds for the longest values', () => {
  const longest = [-1.17549435e-38, -3.40282347e38, -0.000123456789, -0.999999940];
  for (const value of longest) assert.ok(text([value]).length <= floatTextBytesMax(1));
});
