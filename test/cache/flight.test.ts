import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flight, Gathering } from '../../src/cache/flight.ts';

test('the deadline is that of the last who waits, however many there are', () => {
  const flight = new Flight('key', 'text');
  const count = 200_000;
  const gathering = new Gathering(count, { cancelled: false, deadlineMs: 1000 });
  for (let i = 0; i < count; i += 1) flight.board(gathering, i);
  assert.equal(flight.deadlineMs, 1000);
  flight.board(new Gathering(1, { cancelled: false, deadlineMs: 2000 }), 0);
  assert.equal(flight.deadlineMs, 2000);
  flight.board(new Gathering(1, { cancelled: false }), 0);
  assert.equal(flight.deadlineMs, Infinity);
});
