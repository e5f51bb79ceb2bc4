// Numbers to IEEE 754 binary16, round to nearest even. Node below 24 has no Float16Array.

const bits = new DataView(new ArrayBuffer(4));

/** The 16 bits of `value` as an unsigned integer. */
export function float16Bits(value: number): number {
  const word = float32Word(value);
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds beyond 65,504, the largest finite one
  if (magnitude < 0x38800000) return sign | subnormalBits(magnitude);
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/**
 * The nearest float32, but for a double between two the odd one of them: rounding that once more gives what rounding the
 * double would, since it is never a tie that the double was not (Boldo and Melquiond 2008).
 */
function float32Word(value: number): number {
  bits.setFloat32(0, value);
  const word = bits.getUint32(0);
  const rounded = bits.getFloat32(0);
  if (rounded === value) return word;
  return Math.abs(rounded) > Math.abs(value) ? (word - 1) | 1 : word | 1;
}

/** Below 2^-14 the exponent is fixed: a multiple of 2^-24, which Math rounds exactly but for the ties. */
function subnormalBits(magnitude: number): number {
  bits.setUint32(0, magnitude);
  const scaled = bits.getFloat32(0) * 2 ** 24;
  const floor = Math.floor(scaled);
  const fraction = scaled - floor;
  const up = fraction > 0.5 || (fraction === 0.5 && floor % 2 === 1);
  return floor + (up ? 1 : 0);
}

/** The value of 16 bits: exact, every binary16 is a float32. */
export function float16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
