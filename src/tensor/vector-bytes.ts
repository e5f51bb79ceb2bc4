// Vectors as bytes: what base64 and binary answers carry. Little-endian, as every protocol here wants it.
import { endianness } from 'node:os';
import assert from 'node:assert/strict';
import { float16Bits } from './float16.ts';

assert(endianness() === 'LE', 'Typed arrays are written to the wire as they lie in memory.');

/** How a vector's values are stored in a binary answer. */
export type VectorType = 'float32' | 'float16' | 'int8';

const vectorTypeBytes: Readonly<Record<VectorType, number>> = { float32: 4, float16: 2, int8: 1 };

/**
 * Rows of one length, one after another. int8 holds round(127 x): for unit vectors a value is off by at
 * most 1/254, and cosine is unchanged by the common factor; other values are clamped to [-1, 1].
 */
export function packRows(rows: readonly Float32Array[], type: VectorType): Uint8Array {
  const dimension = rows[0]?.length ?? 0;
  const bytes = new Uint8Array(rows.length * dimension * vectorTypeBytes[type]);
  rows.forEach((row, i) => packRow(bytes, i * dimension * vectorTypeBytes[type], row, type));
  return bytes;
}

function packRow(target: Uint8Array, offset: number, row: Float32Array, type: VectorType): void {
  if (type === 'float32') {
    target.set(new Uint8Array(row.buffer, row.byteOffset, row.byteLength), offset);
  } else if (type === 'float16') {
    const halves = new Uint16Array(target.buffer, target.byteOffset + offset, row.length);
    for (let i = 0; i < row.length; i++) halves[i] = float16Bits(row[i]!);
  } else {
    const octets = new Int8Array(target.buffer, target.byteOffset + offset, row.length);
    for (let i = 0; i < row.length; i++) octets[i] = Math.max(-127, Math.min(127, Math.round(row[i]! * 127)));
  }
}

/** Standard base64 with padding of the little-endian float32 values, as the official OpenAI clients decode it. */
export function base64Row(row: Float32Array): string {
  return Buffer.from(row.buffer, row.byteOffset, row.byteLength).toString('base64');
}
