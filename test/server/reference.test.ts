// Vectors through the whole server against those of sentence-transformers.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { miniLmDirectory, miniLmReferenceFile, skipUnless } from '../support/fixtures.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';

type Reference = { text: string; ids: number[]; embedding: string };

const model = 'all-MiniLM-L6-v2';
const skip = skipUnless(miniLmDirectory, miniLmReferenceFile);
/** The fp32 file computes what PyTorch does, in another order of additions. */
const fp32DifferenceMax = 1e-5;
/** int8 weights, fp32 computation. */
const defaultCosineMin = 0.999;
const batchCosineMin = 0.9999;

function references(): Reference[] {
  return JSON.parse(readFileSync(miniLmReferenceFile, 'utf8')) as Reference[];
}

function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
}

const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

async function embed(server: ServerProcess, input: unknown): Promise<{ rows: Float32Array[]; tokens: number }> {
  const answer = await fetch(`${server.url}/v1/embeddings`, {
    method: 'POST',
    body: JSON.stringify({ model, input, encoding_format: 'base64' }),
  });
  assert.equal(answer.status, 200);
  const body = (await answer.json()) as { data: { embedding: string }[]; usage: { prompt_tokens: number } };
  return { rows: body.data.map(({ embedding }) => floats(embedding)), tokens: body.usage.prompt_tokens };
}

test('fp32: token counts and vectors are those of sentence-transformers', { skip }, async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: miniLmDirectory, PRECISION: 'fp32' });
  const rows = references();
  const { rows: vectors } = await embed(server, rows.map(({ text }) => text));
  const differences = rows.map(({ embedding }, i) => {
    return Math.max(...floats(embedding).map((value, j) => Math.abs(value - vectors[i]![j]!)));
  });
  t.diagnostic(`largest difference ${Math.max(...differences)}`);
  assert.ok(Math.max(...differences) <= fp32DifferenceMax);
  for (const { text, ids } of rows) assert.equal((await embed(server, text)).tokens, ids.length);
});

test('the embedded model stays close to it on every text', { skip }, async (t) => {
  const server = await startServerProcess(t);
  const rows = references();
  const { rows: vectors } = await embed(server, rows.map(({ text }) => text));
  const cosines = rows.map(({ embedding }, i) => cosine(floats(embedding), vectors[i]!));
  t.diagnostic(`cosine least ${Math.min(...cosines)}, mean ${cosines.reduce((a, b) => a + b) / cosines.length}`);
  assert.ok(Math.min(...cosines) >= defaultCosineMin);
});

for (const precision of ['default', 'fp32', 'int8']) {
  test(`${precision}: a text has one vector, alone or in any batch`, { skip }, async (t) => {
    const options = precision === 'default' ? {} : { MODEL_PATH: miniLmDirectory, PRECISION: precision };
    const server = await startServerProcess(t, { ...options, ENABLE_EMBEDDING_CACHE: 'false' });
    const texts = references().map(({ text }) => text);
    const together = (await embed(server, texts)).rows;
    const backwards = (await embed(server, [...texts].reverse())).rows.reverse();
    let least = 1;
    for (const [i, text] of texts.entries()) {
      const alone = (await embed(server, text)).rows[0]!;
      least = Math.min(least, cosine(alone, together[i]!), cosine(alone, backwards[i]!));
    }
    t.diagnostic(`least cosine ${least}`);
    assert.ok(least >= batchCosineMin);
  });
}
