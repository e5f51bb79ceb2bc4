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
  assert.ok(7 + overBits + ranksMax + 8 <= 32, 'one value and what waits before it fit an integer');
}

/** Bit patterns to bytes; undefined when that saves nothing. The result is a view of a larger buffer. */
export function pack(words: Uint16Array | Uint32Array, form: Form): Uint8Array | undefined {
  const { exponentBits, significandBits, restBytes, overBits } = form;
  const exponentMask = (1 << exponentBits) - 1;
  const significandMask = (1 << significandBits) - 1;
  const overMask = (1 << overBits) - 1;
  const ranks = commonest(words, significandBits, exponentMask);
  const rankOf = new Uint8Array(256).fill(noRank);
  ranks.forEach((exponent, rank) => (rankOf[exponent] = rank));
  const endMax = words.byteLength;
  const bytes = new Uint8Array(endMax + ranksMax + 8);
  bytes[0] = ranks.length;
  bytes.set(ranks, 1);
  let writeRest = 1 + ranks.length;
  let write = writeRest + words.length * restBytes;
  let pending = 0;
  let pendingBits = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const exponent = (word >>> significandBits) & exponentMask;
    const signed = (word & significandMask) | ((word >>> (significandBits + exponentBits)) << significandBits);
    bytes[writeRest++] = signed;
    if (restBytes === 3) {
      bytes[writeRest++] = signed >>> 8;
      bytes[writeRest++] = signed >>> 16;
    }
    const rank = rankOf[exponent]!;
    const codeBits = rank === noRank ? ranksMax + 8 : rank + 1;
    pending = (((pending << overBits) | ((signed >>> 8) & overMask)) << codeBits) | (rank === noRank ? exponent : 1);
    pendingBits += overBits + codeBits;
    while (pendingBits >= 8) {
      pendingBits -= 8;
      bytes[write++] = pending >>> pendingBits;
    }
    if (write >= endMax) return undefined;
  }
  if (pendingBits > 0) bytes[write++] = pending << (8 - pendingBits);
  return write < endMax ? bytes.subarray(0, write) : undefined;
}

/** Fills `words` with what was packed; false when the bytes are no packing of so many words. */
export function unpack(bytes: Uint8Array, words: Uint16Array | Uint32Array, form: Form): boolean {
  const { exponentBits, significandBits, restBytes, overBits } = form;
  const rankCount = bytes[0] ?? noRank;
  let readRest = 1 + rankCount;
  let readBits = 8 * (readRest + words.length * restBytes);
  const endBits = 8 * bytes.length;
  if (rankCount > ranksMax || readBits > endBits) return false;
  const view = padded(bytes);
  const significandMask = (1 << significandBits) - 1;
  for (let i = 0; i < words.length; i++) {
    if (readBits >= endBits) return false;
    // The next bits, left-aligned: 25 at least.
    let window = view.getInt32(readBits >>> 3) << (readBits & 7);
    let signed: number;
    if (restBytes === 3) {
      signed = view.getInt32(readRest, true) & 0xff_ffff;
    } else {
      signed = view.getUint8(readRest) | ((window >>> (32 - overBits)) << 8);
      window <<= overBits;
    }
    readRest += restBytes;
    const rank = Math.clz32(window);
    if (rank < ranksMax && rank >= rankCount) return false;
    const exponent = rank < ranksMax ? view.getUint8(1 + rank) : (window << ranksMax) >>> 24;
    readBits += overBits + (rank < ranksMax ? rank + 1 : ranksMax + 8);
    const sign = signed >>> significandBits;
    words[i] = (((sign << exponentBits) | exponent) << significandBits) | (signed & significandMask);
  }
  // What is over in the last byte is no part of it; whole bytes would be.
  return (readBits + 7) >>> 3 === bytes.length;
}

function commonest(words: Uint16Array | Uint32Array, significandBits: number, exponentMask: number): Uint8Array {
  const counts = new Uint32Array(256);
  for (let i = 0; i < words.length; i++) counts[(words[i]! >>> significandBits) & exponentMask]! += 1;
  const present: number[] = [];
  for (let exponent = 0; exponent < 256; exponent++) if (counts[exponent]! > 0) present.push(exponent);
  return Uint8Array.from(present.sort((a, b) => counts[b]! - counts[a]!).slice(0, ranksMax));
}

/** Beyond the end a whole number can be read. */
const paddingBytes = 4;
let scratch = new Uint8Array(0);
let scratchView = new DataView(scratch.buffer);

/** A copy, good until the next one. */
function padded(bytes: Uint8Array): DataView {
  if (scratch.length < bytes.length + paddingBytes) {
    scratch = new Uint8Array(2 * bytes.length + paddingBytes);
    scratchView = new DataView(scratch.buffer);
  }
  scratch.set(bytes);
  return scratchView;
}
