import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { EmbeddingManifest, EmbeddingModule, PoolingMode } from '../../src/backend/manifest.ts';
import type { EmbedReply } from '../../src/backend/protocol.ts';
import { ServerError } from '../../src/errors.ts';
import { readManifest } from '../../src/registry/manifest.ts';
import { Embedder } from '../../native-workers/embedder.ts';
import { skipUnless, tinyBertDirectory, tinyDenseDirectory } from '../support/fixtures.ts';
import { pooledByTheBook } from './pooling-by-the-book.ts';
import { float32, safetensors } from './safetensors-bytes.ts';
import { cosine, embedTask, plain, settingsFor, special, tableRow, temporaryFolder } from './tiny-model.ts';
import { tinyModel, vocabulary, width } from './tiny-model.ts';
import type { TinyGraph } from './tiny-model.ts';

const folder = temporaryFolder();
const texts = ['one two three four five', 'one', 'two two', 'three four', 'five', ''];
const inOneRun = { tokensMax: 1000, overheadTokens: 1000 };
/** A few roundings of values of the order of 1. */
const tolerance = 1e-6;

async function using<T>(model: EmbeddingManifest, use: (embedder: Embedder) => Promise<T>): Promise<T> {
  const embedder = await Embedder.open(settingsFor(model), 'cpu');
  try {
    return await use(embedder);
  } finally {
    await embedder.close();
  }
}

const tiny = (changes: Partial<EmbeddingManifest> = {}, graph: TinyGraph = {}) => tinyModel(folder, graph, changes);

function rowOf(reply: EmbedReply, i: number, dimension = reply.stride): number[] {
  return [...reply.rows.subarray(i * reply.stride, i * reply.stride + dimension)];
}

/** The token vectors of a text of known words. */
function tokenRows(text: string): number[][] {
  const words = ['[CLS]', ...text.split(' ').filter((word) => word !== ''), '[SEP]'];
  return words.map((word) => tableRow(vocabulary.findIndex((known) => known === word)));
}

function unit(values: readonly number[]): number[] {
  const length = Math.hypot(...values);
  return values.map((value) => value / length);
}

function assertClose(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of expected.entries()) {
    assert.ok(Math.abs(actual[i]! - value) <= tolerance, `value ${i} is ${actual[i]}, not ${value}`);
  }
}

const mean = (text: string) => pooledByTheBook('mean', tokenRows(text), 0);

describe('embed', () => {
  test('puts each vector at the place of its input, whatever order they ran in', async () => {
    await using(tiny(), async (embedder) => {
      const reply = await embedder.embed(embedTask(texts));
      assert.equal(reply.stride, width);
      for (const [i, text] of texts.entries()) assertClose(rowOf(reply, i), unit(mean(text)));
      assert.deepEqual([...reply.tokensGiven], [7, 3, 4, 4, 3, 2]);
      assert.deepEqual([...reply.tokensKept], [7, 3, 4, 4, 3, 2]);
    });
  });

  test('cuts runs by the cost it is told, and counts them with their padding', async () => {
    await using(tiny(), async (embedder) => {
      const all = await embedder.embed({ ...embedTask(texts), runCost: inOneRun });
      assert.deepEqual([all.runInputs, all.tokensPadded], [[6], 6 * 7]);
      const none = await embedder.embed({ ...embedTask(texts), runCost: { tokensMax: 1, overheadTokens: 0 } });
      assert.deepEqual([none.runInputs, none.tokensPadded], [[1, 1, 1, 1, 1, 1], 23]);
      assert.deepEqual(all.rows, none.rows);
    });
  });

  test('packs texts one after another where the graph keeps them apart', async () => {
    const modules = [{ kind: 'pooling', modes: ['cls'], includePrompt: true }] as const;
    const packed = tinyModel(temporaryFolder(), { packed: true }, { modules, inputTokensMax: 32 });
    await using(packed, async (embedder) => {
      assert.equal(embedder.describe().packs, true);
      const reply = await embedder.embed(embedTask(texts));
      assert.deepEqual([reply.runInputs, reply.tokensPadded], [[6], 23]);
      // The longest stands first, so it is text number one.
      const order = [0, 2, 3, 1, 4, 5];
      for (const i of texts.keys()) {
        const hundreds = (rowOf(reply, i)[0]! - tableRow(special.cls)[0]!) / 100;
        assert.equal(Math.round(hundreds), order.indexOf(i) + 1);
      }
      assert.deepEqual([...reply.tokensKept], [7, 3, 4, 4, 3, 2]);
      const { runMs } = await embedder.probe({ kind: 'probe', count: 30, tokens: 8 });
      assert.ok(runMs > 0);
    });
    await using({ ...packed, batchable: false }, async (embedder) => {
      assert.equal(embedder.describe().packs, false);
      assert.equal((await embedder.embed(embedTask(texts))).runInputs.length, texts.length);
    });
  });

  test('runs one input at a time where a run would mix them', async () => {
    await using(tiny({ batchable: false }), async (embedder) => {
      const reply = await embedder.embed({ ...embedTask(texts), runCost: inOneRun });
      assert.deepEqual([reply.runInputs, reply.tokensPadded], [[1, 1, 1, 1, 1, 1], 23]);
    });
  });

  test('tells what was cut off', async () => {
    await using(tiny({ inputTokensMax: 4 }), async (embedder) => {
      const { rows, tokensGiven, tokensKept } = await embedder.embed(embedTask(texts));
      assert.deepEqual([...tokensGiven], [7, 3, 4, 4, 3, 2]);
      assert.deepEqual([...tokensKept], [4, 3, 4, 4, 3, 2]);
      assertClose([...rows.subarray(0, width)], unit(mean('one two')));
    });
  });

  test('takes texts and token ids together', async () => {
    await using(tiny(), async (embedder) => {
      const query = { ...plain, prompt: 'query: ' };
      const reply = await embedder.embed(embedTask(['one two', Int32Array.of(4, 5)], query));
      assertClose(rowOf(reply, 0), unit(mean('query : one two')));
      assertClose(rowOf(reply, 1), unit(mean('one two')));
    });
  });

  test('refuses the whole task for a token id outside the vocabulary', async () => {
    await using(tiny(), async (embedder) => {
      const failing = embedder.embed(embedTask(['one', Int32Array.of(50_000)]));
      await assert.rejects(failing, (error) => error instanceof ServerError && error.code === 'TOKEN_OUT_OF_RANGE');
    });
  });

  test('fails rather than give a vector that is not finite', async () => {
    await using(tiny(), async (embedder) => {
      for (const normalize of [true, false, undefined]) {
        const failing = embedder.embed(embedTask(['one', 'one NaN'], { ...plain, normalize }));
        await assert.rejects(failing, (error) => error instanceof ServerError && error.code === 'BACKEND_FAILED');
      }
    });
  });
});

describe('dimension and normalize', () => {
  const cut = { ...plain, dimension: 2 };
  const modes: EmbeddingModule = { kind: 'pooling', modes: ['mean'], includePrompt: true };

  test('cut first and then normalise', async () => {
    await using(tiny(), async (embedder) => {
      const reply = await embedder.embed(embedTask(['one two'], cut));
      assert.equal(reply.stride, 2);
      assertClose(rowOf(reply, 0), unit(mean('one two').slice(0, 2)));
    });
  });

  test('differ from row to row', async () => {
    await using(tiny(), async (embedder) => {
      const raw = { ...plain, normalize: false };
      const reply = await embedder.embed(embedTask(['one', 'two', 'three'], cut, plain, raw));
      assert.equal(reply.stride, width);
      assertClose(rowOf(reply, 0, 2), unit(mean('one').slice(0, 2)));
      assertClose(rowOf(reply, 1), unit(mean('two')));
      assertClose(rowOf(reply, 2), mean('three'));
    });
  });

  test('leave a model alone that does not normalise, unless asked', async () => {
    await using(tiny({ modules: [modes] }), async (embedder) => {
      const options = [plain, cut, { ...cut, normalize: true }];
      const reply = await embedder.embed(embedTask(['one', 'one', 'one'], ...options));
      assertClose(rowOf(reply, 0), mean('one'));
      assertClose(rowOf(reply, 1, 2), mean('one').slice(0, 2));
      assertClose(rowOf(reply, 2, 2), unit(mean('one').slice(0, 2)));
    });
  });

  test('beyond the model are refused', async () => {
    await using(tiny(), async (embedder) => {
      const failing = embedder.embed(embedTask(['one'], { ...plain, dimension: width + 1 }));
      await assert.rejects(failing, (error) => error instanceof ServerError && error.code === 'DIMENSIONS_UNSUPPORTED');
    });
  });
});

describe('modules', () => {
  const pooling = (...modes: PoolingMode[]): EmbeddingModule => ({ kind: 'pooling', modes, includePrompt: true });

  test('are applied in order: pooling, normalisation, dense layers', async () => {
    const weightsFile = path.join(folder, 'dense.safetensors');
    const weights = Array.from({ length: 3 * 2 * width }, (_, i) => Math.cos(i));
    const stored = { 'linear.weight': float32([3, 2 * width], weights), 'linear.bias': float32([3], [1, 2, 3]) };
    writeFileSync(weightsFile, safetensors(stored));
    const dense: EmbeddingModule = {
      kind: 'dense', weightsFile, inputDimension: 2 * width, outputDimension: 3, bias: true, activation: 'tanh',
    };
    await using(tiny({ modules: [pooling('cls', 'mean'), { kind: 'normalize' }, dense] }), async (embedder) => {
      const reply = await embedder.embed(embedTask(['one two']));
      const pooled = unit([...pooledByTheBook('cls', tokenRows('one two'), 0), ...mean('one two')]);
      const expected = [1, 2, 3].map((bias, row) => {
        return Math.tanh(pooled.reduce((sum, value, i) => sum + value * weights[row * 2 * width + i]!, bias));
      });
      assert.equal(embedder.describe().dimension, 3);
      assertClose(rowOf(reply, 0), expected);
    });
    const misfit = settingsFor(tiny({ modules: [pooling('mean'), dense] }));
    await assert.rejects(Embedder.open(misfit, 'cpu'), /takes 8 values and gets 4/);
  });

  test('leave the prompt out where the model says so', async () => {
    const modules: EmbeddingModule[] = [{ kind: 'pooling', modes: ['mean'], includePrompt: false }];
    await using(tiny({ modules }), async (embedder) => {
      const reply = await embedder.embed(embedTask(['one two'], { ...plain, prompt: 'query: ' }));
      assertClose(rowOf(reply, 0), pooledByTheBook('mean', tokenRows('query : one two'), 3));
    });
  });

  test('are inside a graph that pools by itself', async () => {
    const doubled = tokenRows('one')[0]!.map((value) => 2 * value);
    await using(tiny({ modules: [] }, { pooled: true }), async (embedder) => {
      assertClose(rowOf(await embedder.embed(embedTask(['one'])), 0), doubled);
    });
    await using(tiny({}, { pooled: true }), async (embedder) => {
      assertClose(rowOf(await embedder.embed(embedTask(['one'])), 0), unit(doubled));
    });
  });

  test('must come from somewhere', async () => {
    await assert.rejects(Embedder.open(settingsFor(tiny({ modules: [] })), 'cpu'), /how to pool/);
  });
});

test('describe tells what was loaded', async () => {
  await using(tiny(), async (embedder) => {
    const { loadMs, ...description } = embedder.describe();
    assert.ok(loadMs > 0);
    assert.deepEqual(description, {
      ok: true,
      dimension: width,
      vocabularySize: vocabulary.length,
      inputTokensMax: 8,
      packs: false,
      provider: 'cpu',
      fallback: undefined,
    });
  });
});

test('probe times a run, also of more tokens than the model takes', async () => {
  for (const batchable of [true, false]) {
    await using(tiny({ batchable }), async (embedder) => {
      const { runMs } = await embedder.probe({ kind: 'probe', count: 3, tokens: 100 });
      assert.ok(runMs > 0);
    });
  }
});

for (const directory of [tinyBertDirectory, tinyDenseDirectory]) {
  const name = path.basename(directory);
  test(`${name}: alone and in any batch a text has one vector`, { skip: skipUnless(directory) }, async () => {
    const sentences = ['hello world', 'the cat sat on the mat', 'a', '', 'one two three four five six seven eight'];
    await using(readManifest(directory, { precision: 'auto' }), async (embedder) => {
      const together = await embedder.embed({ ...embedTask(sentences), runCost: inOneRun });
      assert.equal(together.runInputs.length, 1);
      for (const [i, sentence] of sentences.entries()) {
        const alone = await embedder.embed(embedTask([sentence]));
        assert.ok(cosine(rowOf(together, i), rowOf(alone, 0)) >= 0.9999);
      }
    });
  });
}
