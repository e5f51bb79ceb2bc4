import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LengthEstimate } from '../../src/batch/length-estimate.ts';

test('a text is guessed by its bytes and never beyond the model', () => {
  const estimate = new LengthEstimate(256);
  assert.equal(estimate.tokens('', ''), 2);
  assert.equal(estimate.tokens('x'.repeat(45), ''), 12);
  assert.equal(estimate.tokens('x'.repeat(1_000_000), ''), 256);
});

test('token ids need no guess', () => {
  assert.equal(new LengthEstimate(256).tokens(new Int32Array(30), ''), 32);
});

test('the guess moves to the language that comes', () => {
  const estimate = new LengthEstimate(256);
  const options = { prompt: '' };
  for (let i = 0; i < 2000; i++) estimate.learn([{ input: '漢字'.repeat(10), options }], Int32Array.of(22));
  assert.ok(Math.abs(estimate.tokens('漢字'.repeat(20), '') - 42) <= 1);
});
