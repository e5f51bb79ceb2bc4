// `npm run bench:codecs`: how small vectors get without loss, and what that costs. Two kinds: 1,024 binary16 values
// handed on as float32, as ProtT5 on Triton gives them, and the embedded MiniLM's own float32 vectors.
import zlib from 'node:zlib';
import { Blosc } from 'numcodecs';
import { exactHalves, floatsOfHalves } from '../src/cache/half-rows.ts';
import type { StoredPrecision } from '../src/cache/key.ts';
import { decodeRow, encodeRow } from '../src/cache/vector-value.ts';
import { float16Bits, float16Value } from '../src/tensor/float16.ts';
import { textsFrom } from './corpus.ts';
import { packageFolder } from './models.ts';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ChildServer, killServersAtExit } from './server.ts';

const rowCount = 256;
const repeats = 3000;

type Codec = {
  readonly name: string;
  encode(row: Float32Array): Uint8Array | Promise<Uint8Array>;
  decode(bytes: Uint8Array, dimension: number): Float32Array | Promise<Float32Array>;
};

const bytesOf = (row: Float32Array | Uint16Array) => new Uint8Array(row.buffer, row.byteOffset, row.byteLength);
const floatsOf = (bytes: Uint8Array) => new Float32Array(new Uint8Array(bytes).buffer);

/** The bytes of each value apart: the first of all, then the second of all. */
function shuffle(bytes: Uint8Array, size: number): Uint8Array {
  const count = bytes.length / size;
  const shuffled = new Uint8Array(bytes.length);
  for (let part = 0; part < size; part++) for (let i = 0; i < count; i++) shuffled[part * count + i] = bytes[i * size + part]!;
  return shuffled;
}

function unshuffle(bytes: Uint8Array, size: number): Uint8Array {
  return shuffle(bytes, bytes.length / size);
}

function ours(precision: StoredPrecision): Codec {
  return {
    name: `ours, ${precision}`,
    encode: (row) => {
      const { codec, bytes } = encodeRow(row, precision);
      return Object.assign(bytes, { codec });
    },
    decode: (bytes, dimension) => decodeRow((bytes as Uint8Array & { codec: Parameters<typeof decodeRow>[0] }).codec, dimension, bytes)!,
  };
}

function shuffled(name: string, encode: (bytes: Uint8Array) => Uint8Array, decode: (bytes: Uint8Array) => Uint8Array): Codec {
  return { name: `shuffle, ${name}`, encode: (row) => encode(shuffle(bytesOf(row), 4)), decode: (bytes) => floatsOf(unshuffle(decode(bytes), 4)) };
}

function blosc(compressor: string, level: number, shuffling: number): Codec {
  const codec = new Blosc(level, compressor as 'zstd', shuffling, 0);
  const name = `Blosc, ${shuffling === 2 ? 'bit' : 'byte'} shuffle, ${compressor} ${level}`;
  return { name, encode: (row) => codec.encode(bytesOf(row)), decode: async (bytes) => floatsOf(await codec.decode(bytes)) };
}

const halves: Codec = {
  name: 'binary16 where exact',
  encode: (row) => bytesOf(exactHalves(row) ?? new Float32Array(row)),
  decode: (bytes, dimension) => {
    return bytes.length === 4 * dimension ? floatsOf(bytes) : floatsOfHalves(new Uint16Array(new Uint8Array(bytes).buffer));
  },
};

const codecs: readonly Codec[] = [
  ours('lossless'), ours('fp16'), ours('int8'), halves,
  shuffled('deflate 1', (bytes) => zlib.deflateRawSync(bytes, { level: 1 }), (bytes) => zlib.inflateRawSync(bytes)),
  shuffled('brotli 1', (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }), (bytes) => zlib.brotliDecompressSync(bytes)),
  blosc('lz4', 5, 1), blosc('lz4', 5, 2), blosc('zstd', 1, 1), blosc('zstd', 1, 2), blosc('zstd', 5, 2), blosc('zlib', 1, 1),
];

/** Normally distributed, of unit length, rounded to binary16: what pooled ProtT5 vectors look like. */
function halfRows(): Float32Array[] {
  let state = 5;
  const uniform = () => ((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) + 1) / 2 ** 32;
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Array.from({ length: rowCount }, () => {
    const row = Float32Array.from({ length: 1024 }, normal);
    const length = Math.hypot(...row);
    return row.map((value) => float16Value(float16Bits(value / length)));
  });
}

async function miniLmRows(): Promise<Float32Array[]> {
  const file = fileURLToPath(new URL('../src/main.js', import.meta.url));
  const server = await ChildServer.start(file, {}, path.join(packageFolder, 'bench/results/server-codecs.log'));
  try {
    const body = JSON.stringify({ model: 'all-MiniLM-L6-v2', input: textsFrom('short', 0, rowCount), encoding_format: 'base64' });
    const answer = JSON.parse((await server.until200('POST', '/v1/embeddings', body)).body) as { data: { embedding: string }[] };
    return answer.data.map(({ embedding }) => floatsOf(Buffer.from(embedding, 'base64')));
  } finally {
    await server.stop();
  }
}

/** Microseconds of this process's CPU for each of the rows: other programs do not count. */
async function microseconds(step: (i: number) => unknown): Promise<number> {
  for (let i = 0; i < rowCount; i++) await step(i);
  const start = process.cpuUsage();
  for (let i = 0; i < repeats; i++) await step(i % rowCount);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / repeats;
}

async function bench(name: string, rows: readonly Float32Array[]): Promise<void> {
  console.log(`\n${name}: ${rows[0]!.length} dimensions`.padEnd(42) + 'of float32   ratio   encode us   decode us   max error');
  for (const codec of codecs) {
    const encoded = await Promise.all(rows.map((row) => codec.encode(row)));
    const share = encoded.reduce((sum, bytes) => sum + bytes.length, 0) / rows.reduce((sum, row) => sum + row.byteLength, 0);
    let error = 0;
    for (const [i, row] of rows.entries()) {
      const back = await codec.decode(encoded[i]!, row.length);
      row.forEach((value, j) => (error = Math.max(error, Math.abs(value - back[j]!))));
    }
    const encodeUs = await microseconds((i) => codec.encode(rows[i]!));
    const decodeUs = await microseconds((i) => codec.decode(encoded[i]!, rows[i]!.length));
    const figures = [share.toFixed(3), (1 / share).toFixed(2), encodeUs.toFixed(1), decodeUs.toFixed(1), error === 0 ? 'none' : error.toExponential(1)];
    console.log(`  ${codec.name.padEnd(38)}${figures.map((figure, i) => figure.padStart([11, 8, 12, 12, 12][i]!)).join('')}`);
  }
}

killServersAtExit();
await bench('ProtT5-like', halfRows());
await bench('MiniLM', await miniLmRows());
