import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { callFailure, statusName } from '../../../src/backend/triton/failures.ts';

const failure = (code: number, details: string) => callFailure(Object.assign(new Error(`${code} ${details}`), { code, details }));

test('what a call ended with is what the client is told', () => {
  assert.equal(failure(status.UNAVAILABLE, 'No connection').code, 'MODEL_NOT_READY');
  assert.equal(failure(status.CANCELLED, 'Cancelled on client').code, 'MODEL_NOT_READY');
  assert.equal(failure(status.NOT_FOUND, "unknown model: 'x'").code, 'MODEL_NOT_READY');
  assert.equal(failure(status.DEADLINE_EXCEEDED, '').code, 'TIMEOUT');
  assert.equal(failure(status.INTERNAL, '').code, 'BACKEND_FAILED');
  assert.equal(callFailure(new TypeError('a bug')).code, 'BACKEND_FAILED');
});

test("the model's own words are shown, the server's paths and traces are not", () => {
  assert.equal(failure(status.INTERNAL, "not a protein: 'X1'.\nmore").message, "Triton could not run the model: not a protein: 'X1'.");
  for (const details of ['Failed at /models/x/1', 'C:\\models', 'Traceback (most recent call last)', 'in model.py line 3', '']) {
    assert.equal(failure(status.INTERNAL, details).message, 'Triton could not run the model.');
  }
  assert.ok(failure(status.INTERNAL, 'x'.repeat(10_000)).message.length < 300);
});

test('statuses go by their names', () => {
  assert.equal(statusName(Object.assign(new Error(), { code: 14 })), 'UNAVAILABLE');
  assert.equal(statusName(new Error()), 'UNKNOWN');
});
