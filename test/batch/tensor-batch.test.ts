import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseBatch, placeOf, type BatchPolicy, type Candidate } from '../../src/batch/tensor-batch.ts';

const policy: BatchPolicy = { rowsMax: 8, preferredRows: [], queueDelayMs: 10, priorityLevels: 3, defaultPriority: 2 };

const queue = (...entries: readonly (number | Partial<Candidate>)[]): Candidate[] => entries.map((entry) => ({
  rows: 1, kind: 'a', priority: 2, queuedMs: 100, ...(typeof entry === 'number' ? { rows: entry } : entry),
}));

test('the first waits for others until its delay is over', () => {
  assert.deepEqual(chooseBatch(queue(1, 2), policy, 105), { waitUntilMs: 110 });
  assert.deepEqual(chooseBatch(queue(1, 2), policy, 110), { take: [0, 1] });
  assert.deepEqual(chooseBatch(queue(1, 2), { ...policy, queueDelayMs: 0 }, 100), { take: [0, 1] });
});

test('a full run goes at once, and what does not fit keeps its turn', () => {
  assert.deepEqual(chooseBatch(queue(4, 4, 1), policy, 100), { take: [0, 1] });
  assert.deepEqual(chooseBatch(queue(4, 5, 1), policy, 100), { take: [0] });
  assert.deepEqual(chooseBatch(queue(8), policy, 100), { take: [0] });
});

test('a preferred size goes at once, the largest that can be had', () => {
  const preferring = { ...policy, preferredRows: [2, 4] };
  assert.deepEqual(chooseBatch(queue(1, 1, 1), preferring, 100), { take: [0, 1] });
  assert.deepEqual(chooseBatch(queue(1, 1, 1, 1, 1), preferring, 100), { take: [0, 1, 2, 3] });
  assert.deepEqual(chooseBatch(queue(3), preferring, 100), { waitUntilMs: 110 });
});

test('only requests of the kind that is first in turn share its run', () => {
  const mixed = queue({ kind: 'a' }, { kind: 'b', rows: 8 }, { kind: 'a' });
  assert.deepEqual(chooseBatch(mixed, policy, 200), { take: [0, 2] });
  assert.deepEqual(chooseBatch(mixed.slice(1), policy, 200), { take: [0] });
});

test('a request stands behind those of its priority and before those of less', () => {
  const waiting = [{ priority: 1 }, { priority: 2 }, { priority: 2 }, { priority: 3 }];
  assert.deepEqual([1, 2, 3].map((priority) => placeOf(priority, waiting)), [1, 3, 4]);
  assert.equal(placeOf(2, []), 0);
});
