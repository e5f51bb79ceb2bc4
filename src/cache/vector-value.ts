// What stands in Redis for a vector. Whatever else stands there, cut, foreign, of another version, or a good value
// under a wrong key, is recognised and read as nothing.
//
//   0 magic | 2 version | 3 codec | 4 dimension | 8 tokens given | 12 tokens kept | 16 seconds | 20 checksum | 28 vector
//
// Little-endian. Seconds of Unix time say when it was written. The checksum is the beginning of SHA-256 over the key,
// the header before it and the vector.
import { hash } from 'node:crypto';
import { exactHalves, floatsOfHalves, roundedHalves } from './half-rows.ts';
import type { StoredPrecision } from './key.ts';
import type { CachedVector } from './memory.ts';
import { binary16, binary32, pack, unpack } from './packing.ts';

const magic = 0x766f; // 'ov'
const version = 1;
const headerBytes = 28;
const checksumAt = 20;
const checksumBytes = 8;
/** More than any model gives; a larger number in a header is garbage. */
const dimensionMax = 1 << 20;

const codecs = { float32: 0, packed32: 1, half: 2, packed16: 3, int8: 4 } as const;
export type CodecName = keyof typeof codecs;
const codecNames = Object.fromEntries(Object.entries(codecs).map(([name, id]) => [id, name])) as Record<number, CodecName>;

export function encodeValue(key: string, vector: CachedVector, precision: StoredPrecision): Buffer {
  const { codec, bytes } = encodeRow(vector.row, precision);
  const value = Buffer.allocUnsafe(headerBytes + bytes.length);
  value.writeUInt16LE(magic, 0);
  value[2] = version;
  value[3] = codecs[codec];
  value.writeUInt32LE(vector.row.length, 4);
  value.writeUInt32LE(vector.tokensGiven, 8);
  value.writeUInt32LE(vector.tokensKept, 12);
  value.writeUInt32LE(Math.floor(vector.livesFromMs / 1000), 16);
  value.set(bytes, headerBytes);
  value.write(checksum(key, value), checksumAt, 'latin1');
  return value;
}

/** Undefined for everything but what `encodeValue` made for this key. */
export function decodeValue(key: string, value: Buffer): CachedVector | undefined {
  if (value.length <= headerBytes || value.readUInt16LE(0) !== magic || value[2] !== version) return undefined;
  if (value.toString('latin1', checksumAt, checksumAt + checksumBytes) !== checksum(key, value)) return undefined;
  const codec = codecNames[value[3]!];
  const dimension = value.readUInt32LE(4);
  if (codec === undefined || dimension === 0 || dimension > dimensionMax) return undefined;
  const row = decodeRow(codec, dimension, value.subarray(headerBytes));
  if (row === undefined) return undefined;
  return {
    row,
    tokensGiven: value.readUInt32LE(8),
    tokensKept: value.readUInt32LE(12),
    livesFromMs: value.readUInt32LE(16) * 1000,
  };
}

let scratch = Buffer.alloc(0);

/** As latin1 text, which compares and writes fastest. */
function checksum(key: string, value: Buffer): string {
  const needed = key.length + value.length;
  if (scratch.length < needed) scratch = Buffer.allocUnsafeSlow(2 * needed);
  scratch.write(key, 0, 'latin1');
  value.copy(scratch, key.length, 0, checksumAt);
  value.copy(scratch, key.length + checksumAt, headerBytes);
  return hash('sha256', scratch.subarray(0, needed - checksumBytes), 'binary').slice(0, checksumBytes);
}

type Encoded = { readonly codec: CodecName; readonly bytes: Uint8Array };

/** The shortest form that the precision allows. A row of binary16 values loses nothing as such. */
export function encodeRow(row: Float32Array, precision: StoredPrecision): Encoded {
  // One value without bounds would make zeros or nothing of all others.
  if (precision === 'int8' && row.every(Number.isFinite)) return { codec: 'int8', bytes: quantised(row) };
  const halves = precision === 'fp16' ? roundedHalves(row) : exactHalves(row);
  if (halves !== undefined) {
    const packed = pack(halves, binary16);
    return packed === undefined ? { codec: 'half', bytes: bytesOf(halves) } : { codec: 'packed16', bytes: packed };
  }
  const packed = pack(new Uint32Array(row.buffer, row.byteOffset, row.length), binary32);
  return packed === undefined ? { codec: 'float32', bytes: bytesOf(row) } : { codec: 'packed32', bytes: packed };
}

/** A row of its own memory; undefined when the bytes are none of that codec and dimension. */
export function decodeRow(codec: CodecName, dimension: number, bytes: Uint8Array): Float32Array | undefined {
  if (codec === 'float32') {
    // Copied, because a row needs an alignment that its place in an answer does not have.
    return bytes.length === 4 * dimension ? new Float32Array(new Uint8Array(bytes).buffer) : undefined;
  }
  if (codec === 'packed32') {
    const words = new Uint32Array(dimension);
    return unpack(bytes, words, binary32) ? new Float32Array(words.buffer) : undefined;
  }
  if (codec === 'half') {
    return bytes.length === 2 * dimension ? floatsOfHalves(new Uint16Array(new Uint8Array(bytes).buffer)) : undefined;
  }
  if (codec === 'packed16') {
    const halves = new Uint16Array(dimension);
    return unpack(bytes, halves, binary16) ? floatsOfHalves(halves) : undefined;
  }
  return bytes.length === 4 + dimension ? unquantised(bytes) : undefined;
}

/** A float32 scale, then round(x / scale): off by at most half a scale, 1/254 of the largest value. */
function quantised(row: Float32Array): Uint8Array {
  let largest = 0;
  for (const value of row) largest = Math.max(largest, Math.abs(value));
  const scale = Math.fround(largest / 127) || 1;
  const bytes = new Uint8Array(4 + row.length);
  new DataView(bytes.buffer).setFloat32(0, scale, true);
  const octets = new Int8Array(bytes.buffer, 4);
  for (let i = 0; i < row.length; i++) octets[i] = Math.max(-127, Math.min(127, Math.round(row[i]! / scale)));
  return bytes;
}

function unquantised(bytes: Uint8Array): Float32Array {
  const scale = new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);
  const octets = new Int8Array(bytes.buffer, bytes.byteOffset + 4, bytes.length - 4);
  const row = new Float32Array(octets.length);
  for (let i = 0; i < row.length; i++) row[i] = octets[i]! * scale;
  return row;
}

function bytesOf(array: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
