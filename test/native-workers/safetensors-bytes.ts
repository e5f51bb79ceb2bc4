// Writes safetensors files for the tests.

export type Stored = { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: Buffer };

export function safetensors(tensors: Readonly<Record<string, Stored>>): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...Object.values(tensors).map(({ bytes }) => bytes)]);
}

export function float32(shape: readonly number[], values: readonly number[]): Stored {
  return { dtype: 'F32', shape, bytes: Buffer.from(Float32Array.from(values).buffer) };
}

/** The upper or only 16 bits of each value, by `bitsOf`. */
export function halves(
  dtype: 'F16' | 'BF16',
  shape: readonly number[],
  values: readonly number[],
  bitsOf: (value: number) => number,
): Stored {
  return { dtype, shape, bytes: Buffer.from(Uint16Array.from(values, bitsOf).buffer) };
}
