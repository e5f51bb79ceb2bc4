// The texts that headers hold.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  headerValue, requestIdOf, resetDuration, retryAfterSeconds, serverTiming, statusLine,
} from '../../src/transport/headers.ts';

test('A header value is printable ASCII or nothing', () => {
  assert.equal(headerValue('a b~'), 'a b~');
  assert.equal(headerValue(''), '');
  const refused = ['a\r\nb', 'a\nb', 'a\0b', 'a\tb', 'é', '\x7f', 'a\u2028'];
  for (const value of refused) assert.equal(headerValue(value), undefined);
});

test('A request id of another shape is replaced', () => {
  assert.equal(requestIdOf('ab:c.d-e_1'), 'ab:c.d-e_1');
  assert.match(requestIdOf('a\r\nb'), /^[0-9a-f-]{36}$/);
});

test('Waiting times are rounded up and never zero', () => {
  assert.deepEqual([0, 1, 1000, 1001, 60_000].map(retryAfterSeconds), ['1', '1', '1', '2', '60']);
});

test('Resets have the form that OpenAI uses', () => {
  const texts = [0, 1, 1000, 59_001, 61_500, 360_000].map(resetDuration);
  assert.deepEqual(texts, ['0s', '1s', '1s', '1m0s', '1m2s', '6m0s']);
});

test('Server-Timing names the stages that there were', () => {
  assert.equal(serverTiming({}, 1.26), 'total;dur=1.3');
  assert.equal(serverTiming({ queueMs: 0, inferenceMs: 7.04 }, 10), 'queue;dur=0, inference;dur=7, total;dur=10');
});

test('Every status has a line, unknown ones too', () => {
  assert.equal(statusLine(200), '200 OK');
  assert.equal(statusLine(499), '499 Client Closed Request');
  assert.equal(statusLine(799), '799 Unknown');
});
