// Rows of float32 as binary16, where that loses nothing, or rounded. By integer arithmetic on whole rows: a vector of
// 1,024 values takes a microsecond or two.
import { float16Bits, float16Value } from '../tensor/float16.ts';

/** The binary16 of each value, or undefined when one of them is none: then nothing may be stored so. */
export function exactHalves(row: Float32Array): Uint16Array | undefined {
  const words = new Uint32Array(row.buffer, row.byteOffset, row.length);
  const halves = new Uint16Array(row.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude >= 0x38800000) {
      if ((magnitude & 0x1fff) !== 0 || magnitude >= 0x47800000) return undefined;
      halves[i] = sign | ((magnitude - 0x38000000) >>> 13);
    } else if (magnitude === 0) {
      halves[i] = sign;
    } else {
      // Below 2^-14 binary16 is a multiple of 2^-24: the significand moves down by what the exponent lacks.
      const shift = 126 - (magnitude >>> 23);
      const significand = (magnitude & 0x7fffff) | 0x800000;
      if (shift > 23 || (significand & ((1 << shift) - 1)) !== 0) return undefined;
      halves[i] = sign | (significand >>> shift);
    }
  }
  return halves;
}

/** Rounded to the nearest binary16, or undefined when a value is beyond its range: infinity is no rounding. */
export function roundedHalves(row: Float32Array): Uint16Array | undefined {
  const halves = new Uint16Array(row.length);
  for (let i = 0; i < row.length; i++) {
    const half = float16Bits(row[i]!);
    if ((half & 0x7c00) === 0x7c00) return undefined;
    halves[i] = half;
  }
  return halves;
}

/** Exact: every binary16 is a float32. */
export function floatsOfHalves(halves: Uint16Array): Float32Array {
  const row = new Float32Array(halves.length);
  const words = new Uint32Array(row.buffer);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    const exponent = half & 0x7c00;
    if (exponent === 0 || exponent === 0x7c00) row[i] = float16Value(half);
    else words[i] = ((half & 0x8000) << 16) | (((half & 0x7fff) << 13) + 0x38000000);
  }
  return row;
}
