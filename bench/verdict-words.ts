// Makes models/verdict/words.bin: which words are common and which lie near in meaning, of the embedded model's
// vocabulary (it is in the order of frequency) and its own vectors of single words.
//     npm run build && node dist/bench/verdict-words.js
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { headerBytes, tableMagic } from '../src/cache/semantic/verdict/word-table.ts';
import { packageFolder } from './models.ts';
import { openEmbedder, vectorsOf } from './verdict/pairs.ts';

const dimension = 64;
/** Rounds of subspace iteration; the leading directions settle long before. */
const rounds = 40;
const int8Max = 127;

const tokenizer = JSON.parse(readFileSync(path.join(packageFolder, 'models/all-MiniLM-L6-v2/tokenizer.json'), 'utf8')) as {
  readonly model: { readonly vocab: Readonly<Record<string, number>> };
};
const words = Object.entries(tokenizer.model.vocab).sort(([, a], [, b]) => a - b).map(([word]) => word).filter((word) => /^[a-z]{2,}$/.test(word));
const embedder = await openEmbedder();
const rows = centred(await vectorsOf(embedder, words));
await embedder.close();
const axes = leadingAxes(covarianceOf(rows));
const text = Buffer.from(words.join('\n'), 'latin1');
const header = Buffer.alloc(headerBytes);
header.write(tableMagic, 'latin1');
[words.length, dimension, text.length].forEach((value, i) => header.writeUInt32LE(value, 4 * (i + 1)));
const folder = path.join(packageFolder, 'models/verdict');
mkdirSync(folder, { recursive: true });
writeFileSync(path.join(folder, 'words.bin'), Buffer.concat([header, text, ...rows.map(quantised)]));
console.log(`${words.length} words, ${dimension} dimensions`);

/** Less their mean, which all words share, and of unit length again. */
function centred(vectors: readonly Float32Array[]): Float64Array[] {
  const mean = vectors[0]!.map((_, i) => vectors.reduce((sum, vector) => sum + vector[i]!, 0) / vectors.length);
  return vectors.map((vector) => normalised(Float64Array.from(vector, (value, i) => value - mean[i]!)));
}

function normalised(vector: Float64Array): Float64Array {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / length);
}

function covarianceOf(vectors: readonly Float64Array[]): Float64Array[] {
  const width = vectors[0]!.length;
  const covariance = Array.from({ length: width }, () => new Float64Array(width));
  for (const vector of vectors) {
    for (let i = 0; i < width; i++) {
      const row = covariance[i]!;
      for (let j = 0; j < width; j++) row[j]! += vector[i]! * vector[j]!;
    }
  }
  return covariance;
}

/** The directions in which words differ most, by subspace iteration. */
function leadingAxes(covariance: readonly Float64Array[]): Float64Array[] {
  const width = covariance.length;
  let basis: Float64Array[] = Array.from({ length: dimension }, (_, k) => Float64Array.from({ length: width }, (_, i) => Math.sin((i + 1) * (k + 1))));
  for (let round = 0; round < rounds; round++) {
    const next: Float64Array[] = [];
    for (const axis of basis) {
      const image = Float64Array.from(covariance, (row) => dot(row, axis));
      for (const earlier of next) {
        const along = dot(image, earlier);
        for (let i = 0; i < width; i++) image[i]! -= along * earlier[i]!;
      }
      next.push(normalised(image));
    }
    basis = next;
  }
  return basis;
}

function quantised(row: Float64Array): Buffer {
  const values = axes.map((axis) => dot(row, axis));
  const most = Math.max(...values.map(Math.abs));
  return Buffer.from(Int8Array.from(values, (value) => Math.round((value / most) * int8Max)).buffer);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
