// The limit is only an upper bound when its runs are cut as told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutRuns } from '../../bench/limit.ts';

test('runs hold neighbours in length and at most the padded tokens asked for', () => {
  const { runs } = cutRuns(['nine', 'two', 'four', 'three'], [9, 2, 4, 3], 9);
  assert.deepEqual(runs, [['two', 'three'], ['four'], ['nine']]);
});

test('a text longer than a run makes a run of its own', () => {
  assert.deepEqual(cutRuns(['a', 'b'], [50, 60], 20).runs, [['a'], ['b']]);
});

test('a run size of zero gives each text its own run', () => {
  assert.deepEqual(cutRuns(['a', 'b', 'c'], [1, 1, 1], 0).runs, [['a'], ['b'], ['c']]);
});
