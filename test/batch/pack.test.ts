import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { packedRows, singleRows } from '../../src/batch/pack.ts';

let state = 5;
const random = (limit: number) => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % limit;

test('alone: one input a row, short before long', () => {
  assert.deepEqual(singleRows([7, 3, 5]), [
    { inputs: [1], tokens: 3 },
    { inputs: [2], tokens: 5 },
    { inputs: [0], tokens: 7 },
  ]);
  assert.deepEqual(singleRows([]), []);
});

describe('packed', () => {
  test('a few short inputs share one row', () => {
    assert.deepEqual(packedRows([10, 20, 30]), [{ inputs: [2, 1, 0], tokens: 60 }]);
    assert.deepEqual(packedRows([]), []);
  });

  test('an input longer than a row stands alone, and the others beside it share rows of that length', () => {
    assert.deepEqual(packedRows([10, 200, 90, 100]), [
      { inputs: [1], tokens: 200 },
      { inputs: [3, 2, 0], tokens: 200 },
    ]);
  });

  test('every input stands in one row, in as few rows of nearly the same length as hold them', () => {
    for (let round = 0; round < 200; round++) {
      const lengths = Array.from({ length: 1 + random(40) }, () => 1 + random(round % 2 === 0 ? 30 : 256));
      const rows = packedRows(lengths);
      const total = lengths.reduce((a, b) => a + b);
      const longest = Math.max(128, ...lengths);
      assert.deepEqual(rows.flatMap((row) => row.inputs).sort((a, b) => a - b), lengths.map((_, i) => i));
      for (const { inputs, tokens } of rows) assert.equal(inputs.reduce((sum, i) => sum + lengths[i]!, 0), tokens);
      assert.ok(rows.length <= Math.ceil(total / longest));
      // What the longest-first rule promises (Graham 1969): at most a third above the best.
      assert.ok(rows.at(-1)!.tokens <= Math.max(Math.max(...lengths), total / rows.length) * (4 / 3) + 1);
      assert.deepEqual(rows.map((row) => row.tokens), rows.map((row) => row.tokens).sort((a, b) => a - b));
    }
  });
});
