// Labelled pairs of questions, their vectors, and which of them may not be parted when folds are cut.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { readManifest } from '../../src/registry/manifest.ts';
import { Embedder } from '../../native-workers/embedder.ts';
import { packageFolder } from '../models.ts';

export type Pair = {
  readonly a: string;
  readonly b: string;
  readonly same: boolean;
  readonly kind: string;
};

/** `similarity` is the cosine of the vectors that this project's own workers compute. */
export type MeasuredPair = Pair & { readonly similarity: number; readonly group: number };

export const referenceFile: string = path.resolve(packageFolder, '../shared/reference/semantic-pairs.jsonl');
export const fitFile: string = path.join(packageFolder, 'test/fixtures/semantic-pairs-fit.jsonl');
export const heldOutFile: string = path.join(packageFolder, 'test/fixtures/semantic-pairs-heldout.jsonl');

/** Pairs that have questions nearer than this to each other go into one fold. */
const groupSimilarityMin = 0.6;
/** Questions of other pairs: the nearest so many of each, where they are near at all. */
const neighboursMax = 2;
const neighbourSimilarityMin = 0.35;

/** One JSON object a line. Throws a plain Error that names the line. */
export function readPairs(file: string): Pair[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter((line) => line.trim() !== '');
  return lines.map((line, i) => {
    const { a, b, same, kind } = JSON.parse(line) as Partial<Pair>;
    if (typeof a !== 'string' || typeof b !== 'string' || typeof same !== 'boolean' || typeof kind !== 'string') {
      throw new Error(`${file}, line ${i + 1}: a pair needs a, b, same and kind.`);
    }
    return { a, b, same, kind };
  });
}

export type PairSet = {
  readonly pairs: readonly MeasuredPair[];
  /** Questions of different groups that lie near each other: what a cache meets most. Taken as different. */
  readonly neighbours: readonly (MeasuredPair & { readonly otherGroup: number })[];
};

/** `firstGroup` keeps the groups of several files apart. */
export async function measurePairs(pairs: readonly Pair[], embedder: Embedder, firstGroup = 0): Promise<PairSet> {
  const texts = pairs.flatMap(({ a, b }) => [a, b]);
  const vectors = await vectorsOf(embedder, texts);
  const groups = groupsOf(vectors).map((group) => firstGroup + group);
  const measured = pairs.map((pair, i) => {
    return { ...pair, similarity: cosine(vectors[2 * i]!, vectors[2 * i + 1]!), group: groups[i]! };
  });
  return { pairs: measured, neighbours: neighboursOf(texts, vectors, groups) };
}

/** The embedded default model in this thread. */
export function openEmbedder(): Promise<Embedder> {
  const model = readManifest(path.join(packageFolder, 'models/all-MiniLM-L6-v2'), { precision: 'auto' });
  const settings = { model, devices: ['cpu'], intraOpThreads: 1, spinning: false, arena: true, workerCounter: new SharedArrayBuffer(4) };
  return Embedder.open(settings, 'cpu');
}

/** Unit vectors. */
export async function vectorsOf(embedder: Embedder, texts: readonly string[]): Promise<Float32Array[]> {
  const options = { prompt: '', truncation: 'right', dimension: 0, normalize: true } as const;
  const runCost = { tokensMax: 256, overheadTokens: 16 };
  const vectors: Float32Array[] = [];
  for (let start = 0; start < texts.length; start += 64) {
    const inputs = texts.slice(start, start + 64);
    const reply = await embedder.embed({ kind: 'embed', inputs, options: inputs.map(() => options), runCost });
    inputs.forEach((_, i) => vectors.push(reply.rows.subarray(i * reply.stride, (i + 1) * reply.stride)));
  }
  return vectors;
}

/** Pair -> group: pairs that are linked by near questions. */
function groupsOf(vectors: readonly Float32Array[]): number[] {
  const count = vectors.length / 2;
  const parent = Array.from({ length: count }, (_, i) => i);
  const root = (i: number): number => (parent[i] === i ? i : root(parent[i]!));
  for (let u = 0; u < vectors.length; u++) {
    for (let v = u + 1; v < vectors.length; v++) {
      if (cosine(vectors[u]!, vectors[v]!) >= groupSimilarityMin) parent[root(u >> 1)] = root(v >> 1);
    }
  }
  return parent.map((_, i) => root(i));
}

function neighboursOf(texts: readonly string[], vectors: readonly Float32Array[], groups: readonly number[]): PairSet['neighbours'] {
  const found: (MeasuredPair & { otherGroup: number })[] = [];
  const taken = new Set<string>();
  for (const [u, vector] of vectors.entries()) {
    const near: { readonly v: number; readonly similarity: number }[] = [];
    for (const [v, other] of vectors.entries()) {
      if (groups[u >> 1] === groups[v >> 1]) continue;
      const similarity = cosine(vector, other);
      if (similarity >= neighbourSimilarityMin) near.push({ v, similarity });
    }
    near.sort((x, y) => y.similarity - x.similarity);
    for (const { v, similarity } of near.slice(0, neighboursMax)) {
      const key = `${Math.min(u, v)}/${Math.max(u, v)}`;
      if (taken.has(key)) continue;
      taken.add(key);
      found.push({ a: texts[u]!, b: texts[v]!, same: false, kind: 'neighbour', similarity, group: groups[u >> 1]!, otherGroup: groups[v >> 1]! });
    }
  }
  return found;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
