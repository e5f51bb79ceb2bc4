import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { EmbeddingSession } from '../../native-workers/session.ts';
import type { SessionSettings } from '../../native-workers/session.ts';
import { special, tableRow, temporaryFolder, tinyOnnx, width } from './tiny-model.ts';
import type { TinyGraph } from './tiny-model.ts';

const onnxFile = path.join(temporaryFolder(), 'model.onnx');
const usual: SessionSettings = {
  onnxFile,
  intraOpThreads: 1,
  spinning: false,
  arena: true,
  device: 'cpu',
  padTokenId: special.pad,
  preferPooled: false,
  foldQuantizedWeights: true,
};

async function opened(graph: TinyGraph = {}, changes: Partial<SessionSettings> = {}): Promise<EmbeddingSession> {
  writeFileSync(onnxFile, tinyOnnx(graph));
  return EmbeddingSession.open({ ...usual, ...changes });
}

const rows = [[Int32Array.of(2, 5, 3)], [Int32Array.of(2, 3)], [Int32Array.of(2, 4, 6, 7, 3)]];

function expectedVectors(shift: (position: number) => number = () => 0): Float32Array {
  const padded = rows.flatMap(([row]) => Array.from({ length: 5 }, (_, i) => ({ id: row![i] ?? special.pad, i })));
  return Float32Array.from(padded.flatMap(({ id, i }) => tableRow(id).map((value) => Math.fround(value) + shift(i))));
}

describe('run', () => {
  for (const inputType of ['int64', 'int32'] as const) {
    test(`pads rows to the longest of them, with ${inputType} inputs`, async () => {
      const session = await opened({ inputType, inputs: ['input_ids', 'attention_mask', 'token_type_ids'] });
      const { vectors, ...shape } = await session.run(rows);
      assert.deepEqual(shape, { width, vectorsPerRow: 5, pooled: false });
      assert.deepEqual(vectors, expectedVectors());
      await session.close();
    });
  }

  test('is not disturbed by a larger run before', async () => {
    const session = await opened();
    await session.run(new Array<Int32Array[]>(9).fill([Int32Array.from({ length: 30 }, (_, i) => i % 8)]));
    assert.deepEqual((await session.run(rows)).vectors, expectedVectors());
    await session.close();
  });

  test('gives vectors that a later run does not overwrite', async () => {
    const session = await opened();
    const { vectors } = await session.run(rows);
    await session.run([[Int32Array.of(7, 7, 7, 7, 7)]]);
    assert.deepEqual(vectors, expectedVectors());
    await session.close();
  });

  test('counts positions from zero when the graph asks for them', async () => {
    const session = await opened({ inputs: ['input_ids', 'position_ids'] });
    assert.deepEqual((await session.run(rows)).vectors, expectedVectors((position) => position));
    await session.close();
  });

  test('numbers the texts of a row where the graph keeps them apart', async () => {
    const session = await opened({ packed: true });
    assert.equal(session.packs, true);
    const { vectors, vectorsPerRow } = await session.run([[Int32Array.of(4, 5), Int32Array.of(6)], [Int32Array.of(7)]]);
    assert.equal(vectorsPerRow, 3);
    const expected = [[4, 1], [5, 1], [6, 2], [7, 1], [special.pad, 0], [special.pad, 0]] as const;
    const values = expected.flatMap(([id, text]) => tableRow(id).map((value) => Math.fround(value) + 100 * text));
    assert.deepEqual(vectors, Float32Array.from(values));
    await session.close();
  });

  test('takes one text a row of every other graph', async () => {
    const session = await opened();
    assert.equal(session.packs, false);
    await session.close();
  });

  test('widens float16', async () => {
    const session = await opened({ outputType: 'float16' });
    const { vectors } = await session.run(rows);
    // Half precision has 11 bits.
    expectedVectors().forEach((value, i) => assert.ok(Math.abs(vectors[i]! - value) <= Math.abs(value) * 2 ** -11));
    await session.close();
  });

  test('tells when the graph pools by itself', async () => {
    const session = await opened({ pooled: true });
    const { vectors, ...shape } = await session.run(rows);
    assert.deepEqual(shape, { width, vectorsPerRow: 1, pooled: true });
    assert.equal(vectors.length, 3 * width);
    await session.close();
  });
});

describe('open', () => {
  test('refuses graphs that are no embedding models', async () => {
    await assert.rejects(opened({ inputs: ['input_ids', 'pixel_values'] }), /pixel_values/);
    await assert.rejects(opened({ inputs: ['input_ids', 'constructor'] }), /constructor/);
    await assert.rejects(opened({ outputName: 'logits' }), /logits/);
  });

  test('falls back to the CPU and says why, without a path', async () => {
    for (const device of ['cuda:99', 'mps']) {
      const session = await opened({}, { device });
      assert.equal(session.provider, 'cpu');
      const fallback = session.fallback ?? '';
      assert.ok(fallback.includes(device));
      assert.doesNotMatch(fallback, /[\\/]/);
      assert.deepEqual((await session.run(rows)).vectors, expectedVectors());
      await session.close();
    }
  });

  test('rejects for a file that is no model', async () => {
    writeFileSync(onnxFile, 'no model');
    await assert.rejects(EmbeddingSession.open(usual));
    await assert.rejects(EmbeddingSession.open({ ...usual, onnxFile: `${onnxFile}.absent` }));
  });
});
