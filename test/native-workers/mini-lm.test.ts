// The real all-MiniLM-L6-v2 against sentence-transformers' own vectors.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { EmbeddingManifest, PoolingMode } from '../../src/backend/manifest.ts';
import { readManifest } from '../../src/registry/manifest.ts';
import type { Precision } from '../../src/registry/onnx-file.ts';
import { Embedder } from '../../native-workers/embedder.ts';
import { EmbeddingSession } from '../../native-workers/session.ts';
import { embeddedModelDirectory, miniLmDirectory, miniLmReferenceFile, skipUnless } from '../support/fixtures.ts';
import { pooledByTheBook } from './pooling-by-the-book.ts';
import { cosine, embedTask, settingsFor } from './tiny-model.ts';

const dimension = 384;
/** float32 on another machine and in another order of additions. */
const differenceMax = 1e-5;
const sameCosineMin = 0.9999;
const compactCosineMin = 0.999;

type Stored = { readonly text: string; readonly ids: readonly number[]; readonly embedding: string };
type Reference = { readonly text: string; readonly ids: readonly number[]; readonly vector: Float32Array };

function references(): Reference[] {
  const stored = JSON.parse(readFileSync(miniLmReferenceFile, 'utf8')) as Stored[];
  return stored.map(({ text, ids, embedding }) => {
    return { text, ids, vector: new Float32Array(Uint8Array.from(Buffer.from(embedding, 'base64')).buffer) };
  });
}

type Changes = Partial<EmbeddingManifest>;

async function opened(directory: string, precision: Precision = 'auto', changes: Changes = {}): Promise<Embedder> {
  return Embedder.open(settingsFor({ ...readManifest(directory, { precision }), ...changes }), 'cpu');
}

/** Vectors of all texts, in tasks of `size` texts that each are one run if the model allows it. */
async function vectorsOf(embedder: Embedder, texts: readonly string[], size: number): Promise<Float32Array[]> {
  const vectors: Float32Array[] = [];
  for (let start = 0; start < texts.length; start += size) {
    const inputs = texts.slice(start, start + size);
    const reply = await embedder.embed({ ...embedTask(inputs), runCost: { tokensMax: 1e6, overheadTokens: 1e6 } });
    inputs.forEach((_, i) => vectors.push(reply.rows.subarray(i * reply.stride, (i + 1) * reply.stride)));
  }
  return vectors;
}

function differenceOf(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

const skip = skipUnless(miniLmDirectory, miniLmReferenceFile);

describe('float32', { skip }, () => {
  test('gives the reference\'s vectors, alone and in a batch of other texts', async (context) => {
    const expected = references();
    const embedder = await opened(miniLmDirectory);
    for (const size of [1, 7]) {
      const vectors = await vectorsOf(embedder, expected.map(({ text }) => text), size);
      const worst = Math.max(...expected.map(({ vector }, i) => differenceOf(vectors[i]!, vector)));
      context.diagnostic(`in batches of ${size}: at most ${worst.toExponential(1)} off`);
      assert.ok(worst <= differenceMax);
      for (const [i, { vector }] of expected.entries()) assert.ok(cosine(vectors[i]!, vector) >= sameCosineMin);
    }
    await embedder.close();
  });

  test('pools as each mode is defined', async () => {
    const modes: readonly PoolingMode[] = ['cls', 'max', 'mean', 'meanSqrtLength', 'weightedMean', 'lastToken'];
    const some = references().filter((_, i) => i % 9 === 0);
    const pooling = { kind: 'pooling', modes, includePrompt: true } as const;
    const embedder = await opened(miniLmDirectory, 'auto', { modules: [pooling] });
    const vectors = await vectorsOf(embedder, some.map(({ text }) => text), some.length);
    const session = await bareSession();
    for (const [i, { ids }] of some.entries()) {
      const output = await session.run([[Int32Array.from(ids)]]);
      const rows = ids.map((_, token) => [...output.vectors.subarray(token * dimension, (token + 1) * dimension)]);
      for (const [part, mode] of modes.entries()) {
        const expected = Float32Array.from(pooledByTheBook(mode, rows, 0));
        const actual = vectors[i]!.subarray(part * dimension, (part + 1) * dimension);
        // Not of unit length: the differences grow with the values.
        assert.ok(differenceOf(actual, expected) <= differenceMax * Math.max(1, Math.hypot(...expected)), mode);
        assert.ok(cosine(actual, expected) >= sameCosineMin, mode);
      }
    }
    await session.close();
    await embedder.close();
  });

  test('takes any string', async () => {
    const embedder = await opened(miniLmDirectory);
    const strange = ['', ' ', '\0', '\ud800', 'a\udfffb', '\u202e\u200b\ufeff', '[CLS]', '\ud83d\ude00'];
    strange.push('x'.repeat(1_000_000));
    const vectors = await vectorsOf(embedder, strange, strange.length);
    for (const vector of vectors) assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-5);
    await embedder.close();
  });
});

async function bareSession(): Promise<EmbeddingSession> {
  return EmbeddingSession.open({
    ...readManifest(miniLmDirectory, { precision: 'auto' }),
    intraOpThreads: 1,
    spinning: false,
    arena: true,
    device: 'cpu',
    preferPooled: false,
    foldQuantizedWeights: false,
  });
}

const skipEmbedded = skip || skipUnless(embeddedModelDirectory);

test('the embedded model stays close to the reference', { skip: skipEmbedded }, async (context) => {
  const expected = references();
  const embedder = await opened(embeddedModelDirectory);
  const vectors = await vectorsOf(embedder, expected.map(({ text }) => text), 7);
  const cosines = expected.map(({ vector }, i) => cosine(vectors[i]!, vector));
  context.diagnostic(`cosine at least ${Math.min(...cosines).toFixed(5)}`);
  assert.ok(Math.min(...cosines) >= compactCosineMin);
  await embedder.close();
});

test('the embedded model packs its texts, and each keeps its vector', { skip: skipUnless(embeddedModelDirectory) }, async () => {
  const words = 'a model that reads many short texts at once need not be padded to the longest of them'.split(' ');
  const texts = words.flatMap((_, i) => [words.slice(i).join(' '), words.slice(0, i).join(' ')]);
  const embedder = await opened(embeddedModelDirectory);
  const packed = await embedder.embed({ ...embedTask(texts), runCost: { tokensMax: 1e6, overheadTokens: 1e6 } });
  const tokens = packed.tokensKept.reduce((sum, count) => sum + count, 0);
  assert.deepEqual(packed.runInputs, [texts.length]);
  assert.ok(packed.tokensPadded <= tokens * 1.1, `${packed.tokensPadded} tokens for ${tokens}`);
  for (const [i, alone] of (await vectorsOf(embedder, texts, 1)).entries()) {
    assert.ok(differenceOf(alone, packed.rows.subarray(i * dimension, (i + 1) * dimension)) <= differenceMax);
  }
  await embedder.close();
});

test('dynamically quantised, a text does not depend on its batch mates', { skip: skip || int8Missing() }, async () => {
  const texts = references().map(({ text }) => text);
  const embedder = await opened(miniLmDirectory, 'int8');
  const [together, alone] = [await vectorsOf(embedder, texts, 20), await vectorsOf(embedder, texts, 1)];
  for (const [i, vector] of together.entries()) assert.ok(cosine(vector, alone[i]!) >= sameCosineMin);
  await embedder.close();
});

function int8Missing(): string | false {
  try {
    readManifest(miniLmDirectory, { precision: 'int8' });
    return false;
  } catch {
    return 'the int8 file that is there needs a CPU with VNNI';
  }
}
