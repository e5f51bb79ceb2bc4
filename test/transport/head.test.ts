// What is kept of a request's head.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpRequest } from 'uWebSockets.js';
import { RequestHead } from '../../src/transport/head.ts';

const head = (...fields: [string, string][]): RequestHead => new RequestHead({
  getUrl: () => '/a%20b',
  getQuery: () => 'x=1',
  forEach: (each: (name: string, value: string) => void) => { for (const [name, value] of fields) each(name, value); },
} as unknown as HttpRequest);

test('Headers of one name are one list', () => {
  const both = head(['x-forwarded-for', '1.1.1.1'], ['host', 'h'], ['x-forwarded-for', '2.2.2.2']);
  assert.equal(both.header('x-forwarded-for'), '1.1.1.1, 2.2.2.2');
  assert.equal(both.header('host'), 'h');
  assert.equal(both.header('absent'), '');
});

test('A value that looks like a name is not one', () => {
  assert.equal(head(['a', 'b'], ['c', 'd']).header('b'), '');
});

test('A body is declared by its length or by chunks', () => {
  const bodyOf = ({ contentLength, hasBody }: RequestHead): [number, boolean] => [contentLength, hasBody];
  assert.deepEqual(bodyOf(head()), [-1, false]);
  assert.deepEqual(bodyOf(head(['content-length', '0'])), [0, false]);
  assert.deepEqual(bodyOf(head(['content-length', '7'])), [7, true]);
  assert.deepEqual(bodyOf(head(['transfer-encoding', 'chunked'])), [-1, true]);
});
