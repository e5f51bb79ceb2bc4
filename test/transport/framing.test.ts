// Which headers leave no doubt where a body ends. The same rows on a real socket are in wire.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { framingFault } from '../../src/transport/framing.ts';

const fault = (lengths: string[], transferEncodings: string[] = [], hostCount = 1): string | undefined =>
  framingFault({ lengths, transferEncodings, hostCount })?.code;

test('One length, one chunked or neither is clear', () => {
  assert.equal(fault([]), undefined);
  assert.equal(fault(['0']), undefined);
  assert.equal(fault(['123']), undefined);
  assert.equal(fault([], ['chunked']), undefined);
  assert.equal(fault([], ['CHUNKED']), undefined);
});

test('Everything else is not', () => {
  const noLengths = ['', '+1', '-1', '1,1', '0x1', '1e3', '1 ', '9'.repeat(16)].map((length) => [length]);
  for (const lengths of [['1', '1'], ['1', '2'], ...noLengths]) {
    assert.equal(fault(lengths), 'FRAMING_INVALID', lengths.join());
  }
  assert.equal(fault(['1'], ['chunked']), 'FRAMING_INVALID');
  assert.equal(fault([], [], 2), 'FRAMING_INVALID');
  const others = ['gzip', 'gzip, chunked', 'chunked, chunked', 'identity', '', 'xchunked'].map((text) => [text]);
  for (const encodings of [['chunked', 'chunked'], ...others]) {
    assert.equal(fault([], encodings), 'TRANSFER_UNSUPPORTED', encodings.join());
  }
});
