import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PoolingMode } from '../../src/backend/manifest.ts';
import { Pooler } from '../../native-workers/pooling.ts';
import { pooledByTheBook } from './pooling-by-the-book.ts';

const width = 3;
const modes: readonly PoolingMode[] = ['cls', 'max', 'mean', 'meanSqrtLength', 'weightedMean', 'lastToken'];
/** One rounding of a result to float32, values being of the order of 1. */
const tolerance = 2e-7;

/** Two texts of five vectors, padding included; negative on purpose, so that zeros would win a maximum. */
const vectors = Float32Array.from({ length: 2 * 5 * width }, (_, i) => -1 - Math.abs(Math.sin(i * 2.1)));

function pooled(wanted: readonly PoolingMode[], start: number, from: number, length: number): Float32Array {
  const pooler = new Pooler(wanted, width);
  const output = new Float32Array(pooler.dimension).fill(123);
  pooler.pool(vectors, start, from, length, output);
  return output;
}

function rowsAt(start: number, length: number): number[][] {
  return Array.from({ length }, (_, token) => [...vectors.subarray(start + token * width).subarray(0, width)]);
}

function assertClose(actual: ArrayLike<number>, expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of expected.entries()) {
    assert.ok(Math.abs(actual[i]! - value) <= tolerance, `value ${i} is ${actual[i]}, not ${value}`);
  }
}

for (const mode of modes) {
  describe(mode, () => {
    test('is what its definition says, padding left out', () => {
      for (const start of [0, 5 * width]) {
        for (const length of [1, 2, 4, 5]) {
          assertClose(pooled([mode], start, 0, length), pooledByTheBook(mode, rowsAt(start, length), 0));
        }
      }
    });

    test('leaves the prompt out', () => {
      assertClose(pooled([mode], 0, 2, 4), pooledByTheBook(mode, rowsAt(0, 4), 2));
    });
  });
}

test('several modes are concatenated in the order given', () => {
  const expected = modes.flatMap((mode) => pooledByTheBook(mode, rowsAt(0, 4), 0));
  assertClose(pooled(modes, 0, 0, 4), expected);
});

test('a text of nothing but prompt is finite', () => {
  for (const mode of modes) assert.ok(pooled([mode], 0, 4, 4).every(Number.isFinite), mode);
});

test('a value that is not a number is not lost in a maximum', () => {
  const broken = vectors.slice();
  broken[2 * width] = NaN;
  const output = new Float32Array(width);
  new Pooler(['max'], width).pool(broken, 0, 0, 4, output);
  assert.ok(Number.isNaN(output[0]));
});
