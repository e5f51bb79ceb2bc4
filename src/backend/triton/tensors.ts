// Texts and vectors as Triton's raw tensor contents, little-endian (KServe v2, binary tensor data).
import { ServerError } from '../../errors.ts';
import { float16Value } from '../../tensor/float16.ts';

export type FloatType = 'FP16' | 'FP32';

/** BYTES: each element's length in four bytes, then its UTF-8. */
export function bytesTensor(texts: readonly string[]): Buffer {
  const lengths = texts.map((text) => Buffer.byteLength(text));
  const buffer = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + 4 + length, 0));
  let at = 0;
  texts.forEach((text, i) => {
    at = buffer.writeUInt32LE(lengths[i]!, at);
    at += buffer.write(text, at);
  });
  return buffer;
}

/** `count` floats; FP16 widens to FP32 without loss. Throws BACKEND_FAILED when there are more or fewer. */
export function floats(raw: Uint8Array, type: FloatType, count: number): Float32Array {
  const valueBytes = type === 'FP16' ? 2 : 4;
  if (raw.byteLength !== count * valueBytes) {
    throw new ServerError('BACKEND_FAILED', `Triton answered ${raw.byteLength} bytes where ${count * valueBytes} make the vectors.`);
  }
  // Typed arrays start at multiples of their width; a part of a message starts anywhere.
  const { buffer } = new Uint8Array(raw);
  return type === 'FP32' ? new Float32Array(buffer) : Float32Array.from(new Uint16Array(buffer), float16Value);
}
