import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CachedVector } from '../../src/cache/memory.ts';
import { decodeValue, encodeRow, encodeValue } from '../../src/cache/vector-value.ts';
import { halfRow, normalRow } from './rows.ts';

const vectorOf = (row: Float32Array): CachedVector => ({ row, tokensGiven: 300, tokensKept: 256, livesFromMs: 1_700_000_000_000 });

test('a value comes back bit for bit, with its tokens and its time', () => {
  for (const row of [normalRow(384, 1), halfRow(1024, 2), normalRow(1, 3), new Float32Array(5), Float32Array.of(1e-45, -3e38, 0, -0)]) {
    const vector = vectorOf(row);
    assert.deepEqual(decodeValue('key', encodeValue('key', vector, 'lossless')), vector);
  }
});

test('values of binary16 origin take less than half, others less than all', () => {
  const share = (row: Float32Array) => encodeRow(row, 'lossless').bytes.length / row.byteLength;
  assert.ok(share(halfRow(1024, 1)) < 0.45, String(share(halfRow(1024, 1))));
  assert.ok(share(normalRow(384, 1)) < 0.86, String(share(normalRow(384, 1))));
});

test('lossy values are off by no more than is said', () => {
  const row = normalRow(384, 5);
  const largest = Math.max(...row.map(Math.abs));
  const back = (precision: 'fp16' | 'int8') => decodeValue('key', encodeValue('key', vectorOf(row), precision))!.row;
  back('fp16').forEach((value, i) => assert.ok(Math.abs(value - row[i]!) <= Math.abs(row[i]!) / 2048 + 2 ** -25));
  back('int8').forEach((value, i) => assert.ok(Math.abs(value - row[i]!) <= (largest / 254) * 1.000001));
  assert.deepEqual(back('int8').length, 384);
  assert.deepEqual(decodeValue('k', encodeValue('k', vectorOf(new Float32Array(3)), 'int8'))!.row, new Float32Array(3));
});

test('values beyond binary16 stay what they are where rows are rounded to it', () => {
  const row = Float32Array.of(65_519, -70_000, 1.23456789);
  const back = decodeValue('key', encodeValue('key', vectorOf(row), 'fp16'))!.row;
  assert.deepEqual(back, row);
});

test('values that are not finite stay what they are, however rows are stored', () => {
  const row = Float32Array.of(NaN, 1, -Infinity);
  for (const precision of ['lossless', 'fp16', 'int8'] as const) {
    assert.deepEqual(decodeValue('key', encodeValue('key', vectorOf(row), precision))!.row, row, precision);
  }
});

test('one bit, one byte more or less, or another key makes it nothing', () => {
  const value = encodeValue('key', vectorOf(normalRow(16, 1)), 'lossless');
  for (let bit = 0; bit < value.length * 8; bit++) {
    const wrong = Buffer.from(value);
    wrong[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(decodeValue('key', wrong), undefined, `bit ${bit}`);
  }
  for (let length = 0; length < value.length; length++) assert.equal(decodeValue('key', value.subarray(0, length)), undefined);
  assert.equal(decodeValue('key', Buffer.concat([value, Buffer.of(0)])), undefined);
  assert.equal(decodeValue('kez', value), undefined);
  assert.equal(decodeValue('key', Buffer.from('garbage, of some length that could hold a header and more')), undefined);
});
