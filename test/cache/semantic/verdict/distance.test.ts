import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isShortened, keystrokesBetween, mistakesMax } from '../../../../src/cache/semantic/verdict/distance.ts';

test('keystrokes: one for each letter more, less or other, and for two that changed places', () => {
  for (const [a, b, keys] of [['lamp', 'lamp', 0], ['lamp', 'lamps', 1], ['lamp', 'lam', 1], ['lamp', 'limp', 1], ['lamp', 'lapm', 1], ['lamp', 'blimp', 2]] as const) {
    assert.equal(keystrokesBetween(a, b, 3), keys);
  }
});

test('beyond the limit it says so and stops, also for very long words', () => {
  assert.equal(keystrokesBetween('kitten', 'sitting', 1), 2);
  assert.equal(keystrokesBetween('a'.repeat(1e6), 'b'.repeat(1e6), 2), 3);
});

test('short words bear no mistake', () => {
  assert.equal(mistakesMax(2), 0);
  assert.ok(mistakesMax(12) > mistakesMax(5));
});

test('letters may be left out, not the first and not few', () => {
  assert.ok(isShortened('pkg', 'package'));
  assert.equal(isShortened('kg', 'package'), false);
  assert.equal(isShortened('packag', 'package'), false);
});
