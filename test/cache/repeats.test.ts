import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Repeats } from '../../src/cache/repeats.ts';
import { repeatedBodyBytesMax } from '../../src/limits.ts';

test('bodies are told apart byte by byte, whatever they hold', () => {
  const repeats = new Repeats();
  const bodies = [[], [0], [0, 0], [0xc3, 0xa4], [0xe4], [0xff], [0x61], [0x61, 0x0a]].map((bytes) => Uint8Array.from(bytes));
  const keys = bodies.map((body) => repeats.key(body));
  assert.equal(new Set(keys).size, bodies.length);
  keys.forEach((key, i) => repeats.keep(key!, { i }, 0));
  bodies.forEach((body, i) => assert.deepEqual(repeats.get(repeats.key(body.slice())!), { i }));
});

test('a body is read where it lies in its buffer, and may be reused', () => {
  const repeats = new Repeats();
  const buffer = Uint8Array.from([9, 1, 2, 9]);
  const key = repeats.key(buffer.subarray(1, 3))!;
  buffer.fill(7);
  assert.equal(key, '\x01\x02');
});

test('a body too long to be compared has no key', () => {
  const repeats = new Repeats();
  assert.equal(repeats.key(new Uint8Array(repeatedBodyBytesMax))!.length, repeatedBodyBytesMax);
  assert.equal(repeats.key(new Uint8Array(repeatedBodyBytesMax + 1)), undefined);
});

test('what is kept stays within its bytes, the least recently used goes', () => {
  const repeats = new Repeats(10_000);
  for (const key of ['a', 'b', 'c']) repeats.keep(key, {}, 2000);
  repeats.get('a');
  repeats.keep('d', {}, 2000);
  assert.deepEqual(['a', 'b', 'c', 'd'].map((key) => repeats.get(key) !== undefined), [true, false, true, true]);
  repeats.keep('more than all', {}, 20_000);
  assert.equal(repeats.get('more than all'), undefined);
});
