// How far a quantised model is from the fp32 one in the same folder: a few sentences through both. Files that were
// quantised for instructions which the CPU lacks give wrong vectors and no error, so it is asked on this machine.
import { statSync } from 'node:fs';
import path from 'node:path';
import type { Backend } from '../backend/backend.ts';
import type { EmbeddingManifest } from '../backend/manifest.ts';
import type { EmbedReply, EmbedTask } from '../backend/protocol.ts';
import { precisionCheckBytesMax } from '../limits.ts';
import type { EmbeddingModel } from './embedding-model.ts';
import { findOnnxFile, onnxFileBytes } from './onnx-file.ts';

/** Cosines between the vectors of the same text. */
export type PrecisionCheck = { readonly cosineMean: number; readonly cosineMin: number };

/**
 * Below these something is wrong. Good int8 files of sentence encoders stay above 0.98 for every text
 * (models/README.md); saturated ones fall far below.
 */
const cosineMeanMin = 0.97;
const cosineMinMin = 0.93;

/** Short and long, plain and technical, in several scripts. */
const sentences = [
  'Hello, world!',
  'How do I reset my password?',
  'The quick brown fox jumps over the lazy dog while the band plays on in the rain.',
  'SELECT name, count(*) FROM orders WHERE total > 99.5 GROUP BY name ORDER BY 2 DESC;',
  'Die Donaudampfschifffahrt wurde im neunzehnten Jahrhundert gegründet und trug Waren bis ans Schwarze Meer.',
  'El niño comió manzanas, peras y uvas; después durmió la siesta.',
  '机器学习模型可以把一句话变成一个向量。',
  'In 1969 two astronauts walked on the Moon, collected 21.5 kg of rock and soil, and came home safely eight days after they had left; the whole world was watching.',
];

/** The fp32 file in a quantised model's folder, or undefined: nothing to compare, or too large to load only for that. */
export function exactFileBeside({ onnxFile, precision }: EmbeddingManifest): string | undefined {
  if (precision === 'fp32') return undefined;
  const folder = path.dirname(onnxFile);
  const file = findOnnxFile([folder, path.dirname(folder)], ['model.onnx']);
  if (file === undefined || file === onnxFile) return undefined;
  return (onnxFileBytes(file) ?? Infinity) <= precisionCheckBytesMax ? file : undefined;
}

/** What a check was of: it need not be made twice. */
export function checkIdentity(...files: readonly string[]): string {
  return files.map((file) => `${file} ${statSync(file).mtimeMs}`).join(' ');
}

/**
 * Opens the exact model beside the loaded one, for as long as it takes. Throws ServerError, also when the model
 * is closed meanwhile, and leaves no thread behind.
 */
export async function checkPrecision(
  model: EmbeddingModel<EmbeddingManifest>,
  exactFile: string,
  open: (manifest: EmbeddingManifest) => Promise<Backend>,
): Promise<PrecisionCheck> {
  const exact = await open({ ...model.manifest, onnxFile: exactFile, precision: 'fp32', batchable: true });
  try {
    const expected = await exact.embed(task(exact));
    const given = await model.batcher.alone(() => model.backend.embed(task(model.backend)));
    const cosines = sentences.map((_, i) => cosine(row(given, i), row(expected, i)));
    return { cosineMean: cosines.reduce((sum, each) => sum + each, 0) / cosines.length, cosineMin: Math.min(...cosines) };
  } finally {
    await exact.close();
  }
}

/** False also for what is not a number. */
export function isPrecise({ cosineMean, cosineMin }: PrecisionCheck): boolean {
  return cosineMean >= cosineMeanMin && cosineMin >= cosineMinMin;
}

function task({ runCost }: Backend): EmbedTask {
  const options = { prompt: '', truncation: 'right', dimension: 0, normalize: true } as const;
  return { kind: 'embed', inputs: sentences, options: sentences.map(() => options), runCost };
}

function row({ rows, stride }: EmbedReply, i: number): Float32Array {
  return rows.subarray(i * stride, (i + 1) * stride);
}

/** Of vectors of unit length. Models of different sizes have nothing in common. */
function cosine(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return NaN;
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
