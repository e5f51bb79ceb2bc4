import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RowQueue } from '../../src/history/row-queue.ts';
import { rowsOf } from './rows.ts';

test('the oldest waiting rows make room, those being written stay', () => {
  const rows = rowsOf(10);
  const queue = new RowQueue(4);
  assert.deepEqual(rows.slice(0, 4).map((row) => queue.push(row)), [0, 0, 0, 0]);
  assert.deepEqual(queue.take(2), rows.slice(0, 2));
  assert.equal(queue.size, 4);
  assert.deepEqual(rows.slice(4, 7).map((row) => queue.push(row)), [1, 1, 1]);
  assert.equal(queue.size, 4);
  queue.putBack();
  assert.deepEqual(queue.take(9), [rows[0], rows[1], rows[5], rows[6]]);
  queue.forget();
  assert.deepEqual([queue.size, queue.removed], [0, 7]);
});

test('a long queue keeps its order and gives its memory back', () => {
  const rows = rowsOf(5000);
  const queue = new RowQueue(3000);
  const taken = [];
  for (const row of rows) {
    queue.push(row);
    if (queue.size < 2500) continue;
    taken.push(...queue.take(700));
    queue.forget();
  }
  taken.push(...queue.take(10_000));
  assert.deepEqual(taken, rows);
});
