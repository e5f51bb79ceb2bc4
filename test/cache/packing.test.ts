import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exactHalves, floatsOfHalves } from '../../src/cache/half-rows.ts';
import { binary16, binary32, pack, unpack } from '../../src/cache/packing.ts';
import { normalRow } from './rows.ts';

test('every binary16 there is comes back, packed or not', () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  const finite = all.filter((half) => (half & 0x7c00) !== 0x7c00);
  assert.deepEqual(exactHalves(floatsOfHalves(finite)), finite);
  for (let start = 0; start < all.length; start += 512) {
    const halves = all.subarray(start, start + 512);
    const packed = pack(halves, binary16);
    if (packed === undefined) continue;
    const back = new Uint16Array(halves.length);
    assert.ok(unpack(packed, back, binary16));
    assert.deepEqual(back, halves);
  }
});

test('a float32 that is no binary16 is found', () => {
  for (const value of [1 / 3, 65_520, 1e5, 1e-8, 2 ** -25, -(2 ** -14) * (1 + 2 ** -11), Infinity, NaN]) {
    assert.equal(exactHalves(Float32Array.of(0.5, value)), undefined, String(value));
  }
  for (const value of [0, -0, 2 ** -24, -3 * 2 ** -24, 2 ** -14, 65_504, -1.5]) {
    assert.ok(Object.is(floatsOfHalves(exactHalves(Float32Array.of(value))!)[0], value), String(value));
  }
});

test('rows of any kind come back bit for bit', () => {
  const rows = [
    normalRow(384, 1), normalRow(1, 2), normalRow(7, 3), new Float32Array(64), Float32Array.of(0, -0, 1e-45, 3e38, -1e-20),
    Float32Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? 0 : (-1) ** i * 2 ** ((i % 250) - 125) * 1.1)),
    normalRow(1024, 4).map((value, i) => (i % 5 === 0 ? value * 1e-30 : value)),
  ];
  for (const row of rows) {
    const words = new Uint32Array(row.buffer);
    const packed = pack(words, binary32);
    if (packed === undefined) continue;
    assert.ok(packed.length < row.byteLength);
    const back = new Uint32Array(row.length);
    assert.ok(unpack(packed, back, binary32));
    assert.deepEqual(back, words);
  }
  assert.ok(pack(new Uint32Array(rows[0]!.buffer), binary32), 'an embedding gets shorter');
});

test('cut, longer or foreign bytes are no packing', () => {
  const packed = pack(new Uint32Array(normalRow(384, 1).buffer), binary32)!;
  const words = new Uint32Array(384);
  assert.ok(unpack(packed, words, binary32));
  for (const wrong of [packed.subarray(0, -1), packed.subarray(0, 5), new Uint8Array(0), Buffer.concat([packed, Buffer.of(0)])]) {
    assert.equal(unpack(wrong, words, binary32), false);
  }
  assert.equal(unpack(packed, new Uint32Array(385), binary32), false);
  let seed = 7;
  for (let round = 0; round < 500; round++) {
    const noise = Uint8Array.from({ length: round * 3 }, () => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) >>> 8);
    unpack(noise, words, binary32);
    unpack(noise, new Uint16Array(100), binary16);
  }
});
