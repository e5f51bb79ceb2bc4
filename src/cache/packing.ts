// Lossless packing of floating-point rows. The values of an embedding have signs and significands that look random,
// which no compressor shortens, and exponents of a few neighbouring sizes. So exponents are coded by how common they
// are in the row, in unary (rank 0 is `1`, rank 1 is `01`: the Golomb-Rice code with k = 0), and the rest stands as it is:
//
//   ranks: count, exponents, commonest first | 1 or 3 bytes a value of its rest | bits: what is over, then the rank
//
//   binary16  sign and significand  11 bits: 8 in a byte, 3 over
//   float32   sign and significand  24 bits: 3 bytes
//
// For normally distributed values a rank takes 2.4 bits: 13.4 of 32 for a binary16, 26.4 for a float32.
import assert from 'node:assert/strict';

type Form = {
  readonly exponentBits: number;
  readonly significandBits: number;
  /** Whole bytes of sign and significand, and the bits over. */
  readonly restBytes: 1 | 3;
  readonly overBits: 0 | 3;
};

export const binary16: Form = { exponentBits: 5, significandBits: 10, restBytes: 1, overBits: 3 };
export const binary32: Form = { exponentBits: 8, significandBits: 23, restBytes: 3, overBits: 0 };

/** Exponents that have a rank. So many zeros mean that the exponent itself follows, in a byte. */
const ranksMax = 12;
const noRank = 255;

for (const { significandBits, restBytes, overBits } of [binary16, binary32]) {
  assert.equal(significandBits + 1, 8 * restBytes + overBits);
  assert.ok(7 + overBits + ranksMax + 8 <= 32, 'one value and what waits to be written fit an integer');
}

/** Bit patterns to bytes; undefined when that saves nothing. The result is a view of a larger buffer. */
export function pack(words: Uint16Array | Uint32Array, form: Form): Uint8Array | undefined {
  const { exponentBits, significandBits, restBytes, overBits } = form;
  const count = words.length;
  const exponentMask = (1 << exponentBits) - 1;
  const significandMask = (1 << significandBits) - 1;
  const exponents = new Uint8Array(count);
  const over = new Uint8Array(count);
  const rest = new Uint8Array(count * restBytes);
  for (let i = 0, write = 0; i < count; i++) {
    const word = words[i]!;
    exponents[i] = (word >>> significandBits) & exponentMask;
    const signed = (word & significandMask) | ((word >>> (significandBits + exponentBits)) << significandBits);
    rest[write++] = signed;
    over[i] = signed >>> 8;
    if (restBytes === 1) continue;
    rest[write++] = signed >>> 8;
    rest[write++] = signed >>> 16;
  }
  const ranks = commonest(exponents);
  const bytes = new Uint8Array(words.byteLength + ranksMax + 8);
  bytes[0] = ranks.length;
  bytes.set(ranks, 1);
  bytes.set(rest, 1 + ranks.length);
  const end = writeExponents({ exponents, over, overBits, ranks }, bytes, 1 + ranks.length + rest.length, words.byteLength);
  return end === undefined ? undefined : bytes.subarray(0, end);
}

/** Fills `words` with what was packed; false when the bytes are no packing of so many words. */
export function unpack(bytes: Uint8Array, words: Uint16Array | Uint32Array, form: Form): boolean {
  const { exponentBits, significandBits, restBytes, overBits } = form;
  const count = words.length;
  const ranks = bytes.subarray(1, 1 + bytes[0]!);
  if (ranks.length > ranksMax) return false;
  let read = 1 + ranks.length;
  const exponents = new Uint8Array(count);
  const over = new Uint8Array(count);
  if (!readExponents({ exponents, over, overBits, ranks }, bytes, read + count * restBytes)) return false;
  const significandMask = (1 << significandBits) - 1;
  for (let i = 0; i < count; i++) {
    let signed = bytes[read++]!;
    if (restBytes === 3) signed |= (bytes[read++]! << 8) | (bytes[read++]! << 16);
    else signed |= over[i]! << 8;
    const sign = signed >>> significandBits;
    words[i] = (((sign << exponentBits) | exponents[i]!) << significandBits) | (signed & significandMask);
  }
  return true;
}

type Coded = {
  readonly exponents: Uint8Array;
  /** The bits over of each value, and how many they are. */
  readonly over: Uint8Array;
  readonly overBits: number;
  readonly ranks: Uint8Array;
};

function commonest(exponents: Uint8Array): Uint8Array {
  const counts = new Uint32Array(256);
  for (let i = 0; i < exponents.length; i++) counts[exponents[i]!]! += 1;
  const present: number[] = [];
  for (let exponent = 0; exponent < 256; exponent++) if (counts[exponent]! > 0) present.push(exponent);
  return Uint8Array.from(present.sort((a, b) => counts[b]! - counts[a]!).slice(0, ranksMax));
}

/** Where the bits end; undefined when that is not before `endMax`. */
function writeExponents(coded: Coded, bytes: Uint8Array, start: number, endMax: number): number | undefined {
  const { exponents, over, overBits, ranks } = coded;
  const overMask = (1 << overBits) - 1;
  const rankOf = new Uint8Array(256).fill(noRank);
  ranks.forEach((exponent, rank) => (rankOf[exponent] = rank));
  let write = start;
  let pending = 0;
  let pendingBits = 0;
  for (let i = 0; i < exponents.length; i++) {
    const rank = rankOf[exponents[i]!]!;
    const codeBits = rank === noRank ? ranksMax + 8 : rank + 1;
    pending = (((pending << overBits) | (over[i]! & overMask)) << codeBits) | (rank === noRank ? exponents[i]! : 1);
    pendingBits += overBits + codeBits;
    while (pendingBits >= 8) {
      pendingBits -= 8;
      bytes[write++] = pending >>> pendingBits;
    }
    if (write >= endMax) return undefined;
  }
  if (pendingBits > 0) bytes[write++] = pending << (8 - pendingBits);
  return write < endMax ? write : undefined;
}

/** Fills `exponents` and `over`; false unless the bits end with the bytes. */
function readExponents(coded: Coded, bytes: Uint8Array, start: number): boolean {
  const { exponents, over, overBits, ranks } = coded;
  let read = start;
  // The next bits, left-aligned.
  let window = 0;
  let windowBits = 0;
  for (let i = 0; i < exponents.length; i++) {
    for (; windowBits <= 24; windowBits += 8, read += 1) {
      if (read < bytes.length) window |= bytes[read]! << (24 - windowBits);
    }
    if (overBits > 0) {
      over[i] = window >>> (32 - overBits);
      window <<= overBits;
      windowBits -= overBits;
    }
    const rank = Math.clz32(window);
    if (rank < ranksMax) {
      if (rank >= ranks.length) return false;
      exponents[i] = ranks[rank]!;
      window <<= rank + 1;
      windowBits -= rank + 1;
    } else {
      exponents[i] = (window << ranksMax) >>> 24;
      window <<= ranksMax + 8;
      windowBits -= ranksMax + 8;
    }
  }
  // Of what was read ahead, whole bytes are not part of it.
  return read - (windowBits >>> 3) === bytes.length;
}
