// Float32 values as JSON text, shortest form that reads back as the same float32.
// JSON.stringify prints the float64 neighbour: twice the digits, and about six times the time (bench/encode.ts).

const zero = 48;
const comma = 44;
const minus = 45;
const point = 46;
/** '-0.' and twelve digits, or what String() gives for nine significant ones. */
const valueCharsMax = 26;
const powersOfTen = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12] as const;

/** An upper bound of what `writeFloats` needs for `count` values, commas included. */
export function floatTextBytesMax(count: number): number {
  return count * (valueCharsMax + 1);
}

/**
 * Writes `values` as JSON numbers with commas between into `target` from `offset` and returns the end.
 * Values must be finite: JSON has no form for others.
 */
export function writeFloats(target: Uint8Array, offset: number, values: Float32Array): number {
  let at = offset;
  for (let i = 0; i < values.length; i++) {
    if (i > 0) target[at++] = comma;
    at = writeFloat(target, at, values[i]!);
  }
  return at;
}

function writeFloat(target: Uint8Array, offset: number, value: number): number {
  let at = offset;
  const magnitude = Math.abs(value);
  if (magnitude >= 1 && magnitude < 2 ** 22) return writeAboveOne(target, at, value, magnitude);
  // Embeddings lie in this range; below 1e-4 twelve decimals hold too few significant digits.
  if (!(magnitude >= 1e-4 && magnitude < 1)) return writeSlow(target, at, value);
  if (value < 0) target[at++] = minus;
  // With half an ulp below half a unit of the last place, a shorter form shows as closing zeros: none is missed.
  const decimalsMin = magnitude >= 0.1 ? 7 : magnitude >= 0.008 ? 8 : magnitude >= 0.001 ? 9 : 10;
  for (let decimals = decimalsMin; decimals <= 12; decimals++) {
    const power = powersOfTen[decimals]!;
    const digits = Math.round(magnitude * power);
    if (digits < power && Math.fround(digits / power) === magnitude) return writeFraction(target, at, digits, decimals);
  }
  return writeSlow(target, offset, value);
}

/** With whole digits before the point: from where one unit of the last place is more than an ulp, as above. */
function writeAboveOne(target: Uint8Array, offset: number, value: number, magnitude: number): number {
  const start = magnitude < 8 ? 6 : magnitude < 64 ? 5 : magnitude < 512 ? 4 : magnitude < 8192 ? 3 : magnitude < 65_536 ? 2 : magnitude < 524_288 ? 1 : 0;
  for (let decimals = start; decimals <= start + 3; decimals++) {
    const power = powersOfTen[decimals]!;
    const digits = Math.round(magnitude * power);
    if (Math.fround(digits / power) !== magnitude) continue;
    let at = offset;
    if (value < 0) target[at++] = minus;
    const whole = Math.floor(digits / power);
    const wholeDigits = whole < 10 ? 1 : whole < 100 ? 2 : whole < 1000 ? 3 : whole < 10_000 ? 4 : whole < 100_000 ? 5 : whole < 1_000_000 ? 6 : 7;
    writeDigits(target, at, whole, wholeDigits);
    at += wholeDigits;
    const rest = digits - whole * power;
    if (rest === 0) return at;
    target[at] = point;
    writeDigits(target, at + 1, rest, decimals);
    at += 1 + decimals;
    while (target[at - 1] === zero) at -= 1;
    return at;
  }
  return writeSlow(target, offset, value);
}

/** Writes `0.` and `digits` over `decimals` places, without closing zeros. */
function writeFraction(target: Uint8Array, offset: number, digits: number, decimals: number): number {
  target[offset] = zero;
  target[offset + 1] = point;
  const start = offset + 2;
  // Two halves of 32-bit integers: integer division is much faster than on doubles.
  const low = decimals - 6;
  const power = powersOfTen[low]!;
  const high = Math.floor(digits / power);
  writeDigits(target, start, high | 0, 6);
  writeDigits(target, start + 6, (digits - high * power) | 0, low);
  let end = start + decimals;
  while (target[end - 1] === zero) end -= 1;
  return end;
}

function writeDigits(target: Uint8Array, offset: number, digits: number, count: number): void {
  let rest = digits;
  for (let at = offset + count - 1; at >= offset; at--) {
    const quotient = (rest / 10) | 0;
    target[at] = zero + (rest - quotient * 10);
    rest = quotient;
  }
}

function writeSlow(target: Uint8Array, offset: number, value: number): number {
  const text = shortestText(value);
  for (let i = 0; i < text.length; i++) target[offset + i] = text.charCodeAt(i);
  return offset + text.length;
}

/** Any finite float32: the fewest significant digits that read back the same; nine always do (IEEE 754, 5.12.2). */
function shortestText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return Object.is(value, -0) ? '-0.0' : String(value);
  for (let precision = 1; precision < 9; precision++) {
    const candidate = Number(value.toPrecision(precision));
    if (Math.fround(candidate) === value) return String(candidate);
  }
  return String(Number(value.toPrecision(9)));
}
