// Reads a safetensors file: eight bytes of header length, a JSON header, then the tensors' bytes.
// Format: https://github.com/huggingface/safetensors#format. Little-endian, as every machine we run on.
import { readFileSync } from 'node:fs';
import { float16Value } from '../src/tensor/float16.ts';

export type StoredTensor = { readonly shape: readonly number[]; readonly values: Float32Array };

/** All tensors by name, widened to float32. Throws a plain Error for what is no such file. */
export function readSafetensors(file: string): ReadonlyMap<string, StoredTensor> {
  const bytes = readFileSync(file);
  const headerBytes = bytes.length < 8 ? Infinity : Number(bytes.readBigUInt64LE(0));
  if (headerBytes > bytes.length - 8) throw new Error('The safetensors file is cut off in its header.');
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<string, HeaderEntry>;
  const body = bytes.subarray(8 + headerBytes);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name !== '__metadata__') tensors.set(name, { shape: entry.shape, values: widen(name, entry, body) });
  }
  return tensors;
}

type HeaderEntry = {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
};

const widths: ReadonlyMap<string, number> = new Map([['F32', 4], ['F16', 2], ['BF16', 2]]);

function widen(name: string, { dtype, shape, data_offsets: [start, end] }: HeaderEntry, body: Buffer): Float32Array {
  const width = widths.get(dtype);
  if (width === undefined) throw new Error(`The tensor ${name} is stored as ${dtype}, not as F32, F16 or BF16.`);
  const count = shape.reduce((product, size) => product * size, 1);
  if (end - start !== count * width || end > body.length) throw new Error(`The tensor ${name} is cut off.`);
  const values = new Float32Array(count);
  if (dtype === 'F32') {
    // A copy by bytes: the tensor need not lie on a multiple of four.
    new Uint8Array(values.buffer).set(body.subarray(start, end));
  } else if (dtype === 'F16') {
    for (let i = 0; i < count; i++) values[i] = float16Value(body.readUInt16LE(start + 2 * i));
  } else {
    // A bfloat16 is the upper half of a float32.
    const words = new Uint32Array(values.buffer);
    for (let i = 0; i < count; i++) words[i] = body.readUInt16LE(start + 2 * i) << 16;
  }
  return values;
}
