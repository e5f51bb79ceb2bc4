import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchTokens, cutRuns, fillBatch, selectBatch } from '../../src/batch/select.ts';

const cost = { tokensMax: 128, overheadTokens: 12 };
const lengthsOf = (tokens: number[], chosen: number[]) => chosen.map((i) => tokens[i]!).sort((a, b) => a - b);

test('runs take equal lengths up to half more than the budget', () => {
  assert.deepEqual(cutRuns(Array<number>(12).fill(16), cost), [12]);
  assert.deepEqual(cutRuns(Array<number>(24).fill(16), cost), [12, 12]);
});

test('one input always runs, however long', () => {
  assert.deepEqual(cutRuns([500, 500], cost), [1, 1]);
  assert.deepEqual(selectBatch([500, 10], cost), [0]);
});

test('a run ends where padding would cost more than another start', () => {
  assert.deepEqual(cutRuns([10, 10, 11, 40], cost), [3, 1]);
  assert.deepEqual(cutRuns([10, 12], cost), [2]);
  assert.deepEqual(cutRuns([], cost), []);
});

test('no cut is cheaper', () => {
  const costOf = (lengths: number[], counts: number[]) => {
    let end = 0;
    return counts.reduce((sum, count) => sum + cost.overheadTokens + count * lengths[(end += count) - 1]!, 0);
  };
  const allCuts = (length: number): number[][] => {
    if (length === 0) return [[]];
    return Array.from({ length }, (_, i) => allCuts(length - i - 1).map((rest) => [...rest, i + 1])).flat();
  };
  let state = 9;
  const random = (limit: number) => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % limit;
  for (let round = 0; round < 60; round++) {
    const lengths = Array.from({ length: 1 + random(9) }, () => 1 + random(60)).sort((a, b) => a - b);
    const counts = cutRuns(lengths, cost);
    assert.equal(counts.reduce((a, b) => a + b), lengths.length);
    const possible = allCuts(lengths.length).filter((cut) => {
      let end = 0;
      return cut.every((count) => {
        end += count;
        return count === 1 || count * lengths[end - 1]! <= cost.tokensMax * 1.5;
      });
    });
    const least = Math.min(...possible.map((cut) => costOf(lengths, cut)));
    assert.equal(costOf(lengths, counts), least);
  }
});

test('the first input always runs, with the nearest in length', () => {
  const tokens = [20, 100, 21, 5, 19, 22, 100, 20];
  const chosen = selectBatch(tokens, cost);
  assert.ok(chosen.includes(0));
  assert.deepEqual(lengthsOf(tokens, chosen), [19, 20, 20, 21, 22]);
});

test('without padding a batch takes what comes next, whatever its length', () => {
  assert.deepEqual(fillBatch([20, 100, 5, 30], 128), [0, 1, 2]);
  assert.deepEqual(fillBatch([20, 100, 30, 8], 128), [0, 1, 3]);
  assert.deepEqual(fillBatch([500, 10], 128), [0]);
  assert.deepEqual(fillBatch([10, 10, 10, 10], 128, (i) => (i === 2 ? 2 : 3)), [0, 1, 3]);
});

test('indices come in ascending order, each once', () => {
  const tokens = Array.from({ length: 300 }, (_, i) => 1 + ((i * 7919) % 250));
  const chosen = selectBatch(tokens, cost);
  assert.deepEqual(chosen, [...new Set(chosen)].sort((a, b) => a - b));
});

test('whatever waits, a batch keeps to the budget unless it is one input', () => {
  let state = 3;
  const random = (limit: number) => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % limit;
  for (let round = 0; round < 2000; round++) {
    const tokens = Array.from({ length: 1 + random(60) }, () => 1 + random(256));
    const chosen = lengthsOf(tokens, selectBatch(tokens, cost));
    assert.ok(chosen.length === 1 || chosen.at(-1)! * chosen.length <= cost.tokensMax);
    const padding = chosen.at(-1)! * chosen.length - chosen.reduce((a, b) => a + b, 0);
    assert.ok(padding <= cost.overheadTokens * chosen.length);
  }
});

test('a batch has no more inputs than the strictest of them allows', () => {
  const tokens = new Array<number>(10).fill(4);
  assert.equal(selectBatch(tokens, cost, () => 3).length, 3);
  assert.deepEqual(selectBatch(tokens, cost, () => 1), [0]);
  // Those that want to be few are passed over once there are more.
  const chosen = selectBatch(tokens, cost, (i) => (i % 2 === 0 ? 8 : 2));
  assert.ok(chosen.length <= 2 || chosen.every((i) => i % 2 === 0));
  assert.equal(selectBatch(tokens, cost, (i) => (i === 0 ? 2 : 8)).length, 2);
});

test('work is cut into equal parts for all workers', () => {
  assert.equal(batchTokens({ queued: 96, running: 0 }, 2, 128), 48);
  assert.equal(batchTokens({ queued: 48, running: 48 }, 2, 128), 48);
  assert.equal(batchTokens({ queued: 400, running: 0 }, 2, 160), 100);
  assert.equal(batchTokens({ queued: 300, running: 100 }, 2, 160), 100);
  assert.equal(batchTokens({ queued: 1, running: 0 }, 2, 128), 1);
});

test('batches stay full when much waits, and when the last round would be small', () => {
  assert.equal(batchTokens({ queued: 100_000, running: 128 }, 2, 128), 128);
  assert.equal(batchTokens({ queued: 140, running: 128 }, 2, 128), 128);
});
