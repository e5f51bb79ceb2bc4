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
    assert.deepEqual(packedRows([5, 9, 6], 512), [{ inputs: [1, 2, 0], tokens: 20 }]);
    assert.deepEqual(packedRows([7], 512), [{ inputs: [0], tokens: 7 }]);
    assert.deepEqual(packedRows([], 512), []);
  });

  test('an input longer than a row stands alone, and the others beside it share rows of that length', () => {
    assert.deepEqual(packedRows([10, 200, 90, 100], 512), [
      { inputs: [1], tokens: 200 },
      { inputs: [3, 2, 0], tokens: 200 },
    ]);
  });

  test('inputs change places until the rows are even', () => {
    // Each to the shorter row, longest first, would leave 70 and 90.
    const rows = packedRows([40, 40, 30, 30, 20], 512);
    assert.deepEqual(rows.map(({ tokens }) => tokens), [80, 80]);
  });

  test('every input stands in one row, hardly anything is padded, and attention looks at few pairs', () => {
    for (let round = 0; round < 200; round++) {
      const lengths = Array.from({ length: 1 + random(200) }, () => 1 + random(round % 2 === 0 ? 30 : 256));
      const rows = packedRows(lengths, 512);
      const total = lengths.reduce((a, b) => a + b);
      const longest = Math.max(...lengths);
      assert.deepEqual(rows.flatMap((row) => row.inputs).sort((a, b) => a - b), lengths.map((_, i) => i));
      for (const { inputs, tokens } of rows) assert.equal(inputs.reduce((sum, i) => sum + lengths[i]!, 0), tokens);
      assert.deepEqual(rows.map((row) => row.tokens), rows.map((row) => row.tokens).sort((a, b) => a - b));
      const rowTokens = rows.at(-1)!.tokens;
      // What the longest-first rule promises (Graham 1969): at most a third above the best.
      assert.ok(rowTokens <= Math.max(longest, total / rows.length) * (4 / 3) + 1);
      assert.ok(rowTokens <= Math.max(longest, 128) * (4 / 3));
      if (lengths.length >= 12 && longest <= 30) assert.ok(rows.length * rowTokens <= 1.1 * total, `${rows.length} rows of ${rowTokens} for ${total}`);
    }
  });

  test('no row is longer than it may be', () => {
    assert.deepEqual(packedRows([32, 20, 20, 20], 32).map(({ tokens }) => tokens), [20, 20, 20, 32]);
    for (let round = 0; round < 200; round++) {
      const longest = 8 + random(248);
      const lengths = Array.from({ length: 1 + random(200) }, () => 1 + random(longest));
      const rows = packedRows(lengths, longest);
      assert.ok(rows.at(-1)!.tokens <= longest);
      assert.deepEqual(rows.flatMap((row) => row.inputs).sort((a, b) => a - b), lengths.map((_, i) => i));
    }
  });
});
