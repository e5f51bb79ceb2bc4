import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchTokens, runCount, selectBatch } from '../../src/batch/select.ts';

const cost = { tokensMax: 128, overheadTokens: 12 };
const lengthsOf = (tokens: number[], chosen: number[]) => chosen.map((i) => tokens[i]!).sort((a, b) => a - b);

test('a run takes equal lengths up to the token budget', () => {
  assert.equal(runCount([16, 16, 16, 16, 16, 16, 16, 16, 16, 16], 0, cost), 8);
});

test('one input always runs, however long', () => {
  assert.equal(runCount([500, 500], 0, cost), 1);
  assert.deepEqual(selectBatch([500, 10], cost), [0]);
});

test('a run ends where padding would cost more than a run of its own', () => {
  assert.equal(runCount([10, 10, 11, 40], 0, cost), 3);
  assert.equal(runCount([10, 12], 0, cost), 2);
});

test('a run may start anywhere in the list', () => {
  assert.equal(runCount([10, 60, 60, 60], 1, cost), 2);
});

test('the first input always runs, with the nearest in length', () => {
  const tokens = [20, 100, 21, 5, 19, 22, 100, 20];
  const chosen = selectBatch(tokens, cost);
  assert.ok(chosen.includes(0));
  assert.deepEqual(lengthsOf(tokens, chosen), [19, 20, 20, 21, 22]);
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
