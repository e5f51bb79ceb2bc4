// Graphs as exporters write them, opened so that rows hold several texts; those that cannot be are opened as they are.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { packGraph } from '../../native-workers/packed-graph.ts';
import { EmbeddingSession } from '../../native-workers/session.ts';
import { initializer, node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';
import { miniLmDirectory, skipUnless } from '../support/fixtures.ts';
import { temporaryFolder } from './tiny-model.ts';

const folder = temporaryFolder();
const [vocabularySize, positionCount, width] = [40, 32, 4];

type Attention = {
  /** How positions are made. */
  readonly positions?: 'slice' | 'range' | 'ids' | 'none';
  readonly mask?: 'add' | 'where';
  /** Whether the graph pools with its mask. */
  readonly pools?: boolean;
  /** Of the scores: without an axis for heads, the bias of a packed graph does not fit. */
  readonly heads?: boolean;
  readonly operatorSet?: number;
};

const waves = (count: number, step: number) => Float32Array.from({ length: count * width }, (_, i) => Math.sin(1 + i * step) * 2);
const int64s = (name: string, ...values: readonly bigint[]) => initializer(name, 'int64', [values.length], BigInt64Array.from(values));
const scalar = (name: string, value: bigint) => initializer(name, 'int64', [], BigInt64Array.of(value));

/** One layer of attention over token and position vectors, its mask and positions written as exporters do. */
function attention({ positions = 'slice', mask = 'add', pools = false, heads = true, operatorSet = 17 }: Attention = {}): Buffer {
  const nodes = [node('Gather', ['words', 'input_ids'], ['word_vectors'])];
  const initializers = [
    initializer('words', 'float32', [vocabularySize, width], waves(vocabularySize, 0.37)),
    initializer('places', 'float32', [positionCount, width], waves(positionCount, 0.91)),
    int64s('counted', ...Array.from({ length: positionCount }, (_, i) => BigInt(i))),
    scalar('zero', 0n), scalar('one', 1n), int64s('zeros', 0n), int64s('ones', 1n), int64s('axes_heads', 1n), int64s('axes_queries', heads ? 2n : 1n),
    initializer('one_float', 'float32', [], Float32Array.of(1)), initializer('lowest', 'float32', [], Float32Array.of(-1e9)),
  ];
  let tokens = 'word_vectors';
  if (positions !== 'none') {
    nodes.push(node('Shape', ['input_ids'], ['shape']), node('Gather', ['shape', 'one'], ['length']), node('Unsqueeze', ['length', 'zeros'], ['lengths']));
    if (positions === 'slice') nodes.push(node('Slice', ['counted', 'zeros', 'lengths'], ['position_numbers']));
    if (positions === 'range') nodes.push(node('Range', ['zero', 'length', 'one'], ['position_numbers']));
    if (positions === 'ids') nodes.push(node('CumSum', ['input_ids', 'one'], ['sums']), node('Mod', ['sums', 'some'], ['position_numbers']));
    initializers.push(scalar('some', 7n));
    nodes.push(node('Gather', ['places', 'position_numbers'], ['place_vectors']), node('Add', [tokens, 'place_vectors'], ['placed']));
    tokens = 'placed';
  }
  nodes.push(node('Cast', ['attention_mask'], ['mask'], { to: 1 }));
  if (heads) nodes.push(node('Unsqueeze', [tokens, 'axes_heads'], ['values']), node('Unsqueeze', ['mask', 'axes_heads'], ['mask_heads']));
  else nodes.push(node('Identity', [tokens], ['values']), node('Identity', ['mask'], ['mask_heads']));
  nodes.push(
    node('Transpose', ['values'], ['keys'], { perm: heads ? [0, 1, 3, 2] : [0, 2, 1] }), node('MatMul', ['values', 'keys'], ['products']),
    node('Unsqueeze', ['mask_heads', 'axes_queries'], ['mask_keys']), node('Sub', ['one_float', 'mask_keys'], ['hidden']),
    node('Mul', ['hidden', 'lowest'], ['bias']),
  );
  if (mask === 'add') nodes.push(node('Add', ['products', 'bias'], ['scores']));
  else nodes.push(node('Cast', ['hidden'], ['is_hidden'], { to: 9 }), node('Where', ['is_hidden', 'lowest', 'products'], ['scores']));
  nodes.push(node('Softmax', ['scores'], ['shares'], { axis: heads ? 3 : 2 }), node('MatMul', ['shares', 'values'], ['mixed']));
  nodes.push(heads ? node('Squeeze', ['mixed', 'axes_heads'], ['tokens_out']) : node('Identity', ['mixed'], ['tokens_out']));
  if (pools) initializers.push(int64s('axes_last', 2n));
  nodes.push(...(pools ? [node('Unsqueeze', ['mask', 'axes_last'], ['mask_each']), node('Mul', ['tokens_out', 'mask_each'], ['last_hidden_state'])]
    : [node('Identity', ['tokens_out'], ['last_hidden_state'])]));
  const shape = ['rows', 'tokens'];
  return onnxModel({
    nodes, initializers, inputs: ['input_ids', 'attention_mask'].map((name) => tensorInfo(name, 'int64', shape)),
    outputs: [tensorInfo('last_hidden_state', 'float32', [...shape, width])],
  }, { '': operatorSet });
}

function open(model: Buffer, pack: boolean): Promise<EmbeddingSession> {
  const onnxFile = path.join(folder, 'model.onnx');
  writeFileSync(onnxFile, model);
  return openFile(onnxFile, pack);
}

function openFile(onnxFile: string, pack: boolean): Promise<EmbeddingSession> {
  return EmbeddingSession.open({
    onnxFile, pack, intraOpThreads: 1, spinning: false, arena: true, device: 'cpu', padTokenId: 0, preferPooled: false, foldQuantizedWeights: true,
  });
}

const texts = [Int32Array.of(3, 30, 7, 9), Int32Array.of(39), Int32Array.of(12, 3, 30, 30, 5, 6, 21)];

function assertNear(actual: Float32Array, expected: Float32Array): void {
  assert.equal(actual.length, expected.length);
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
  assert.ok(worst <= 1e-5, `${worst} off`);
}

describe('a graph that can be packed', () => {
  for (const positions of ['slice', 'range', 'none'] as const) {
    test(`gives each text of a row the vectors it has alone, positions: ${positions}`, async () => {
      const [packed, plain] = [await open(attention({ positions }), true), await open(attention({ positions }), false)];
      assert.deepEqual([packed.packs, plain.packs], [true, false]);
      const { vectors } = await packed.run([texts.slice(0, 2), texts.slice(2)]);
      // Two texts in the first row and padding; one in the second.
      const rowValues = texts[2]!.length * width;
      let at = 0;
      for (const text of texts.slice(0, 2)) {
        const alone = (await plain.run([[text]])).vectors;
        assertNear(vectors.subarray(at, at + alone.length), alone);
        at += alone.length;
      }
      assertNear(vectors.subarray(rowValues), (await plain.run([[texts[2]!]])).vectors);
      await Promise.all([packed.close(), plain.close()]);
    });
  }

  test('takes one text a row as it always did', async () => {
    const [packed, plain] = [await open(attention(), true), await open(attention(), false)];
    const rows = texts.map((text) => [text]);
    const [together, expected] = [(await packed.run(rows)).vectors, (await plain.run(rows)).vectors];
    texts.forEach((text, row) => {
      const from = row * texts[2]!.length * width;
      assertNear(together.subarray(from, from + text.length * width), expected.subarray(from, from + text.length * width));
    });
    await Promise.all([packed.close(), plain.close()]);
  });
});

const others: readonly [string, Attention][] = [
  ['positions out of token ids', { positions: 'ids' }],
  ['scores that are replaced, not added to', { mask: 'where' }],
  ['a mask that pools, too', { pools: true }],
  ['scores that a bias for heads does not fit', { heads: false }],
  ['operators of before axes were inputs', { operatorSet: 12 }],
];

for (const [name, changes] of others) {
  test(`${name}: the graph is opened as it is`, async () => {
    // That operator set is only named: the graph below needs a later one to run.
    if (changes.operatorSet !== undefined) return assert.equal(packGraph(attention(changes)), undefined);
    const [asked, plain] = [await open(attention(changes), true), await open(attention(changes), false)];
    assert.equal(asked.packs, false);
    const rows = texts.map((text) => [text]);
    assert.deepEqual((await asked.run(rows)).vectors, (await plain.run(rows)).vectors);
    await Promise.all([asked.close(), plain.close()]);
  });
}

test('bytes that are no model, or not all of one, are left alone', async () => {
  const model = attention();
  for (let length = 0; length < model.length; length += 7) {
    const cut = Buffer.from(model.subarray(0, length));
    if (packGraph(cut) === undefined) assert.deepEqual(cut, model.subarray(0, length));
  }
  await assert.rejects(open(Buffer.from('this is no model'), true));
  await assert.rejects(openFile(path.join(folder, 'absent.onnx'), true));
});

test('the fp32 file of all-MiniLM-L6-v2 is packed', { skip: skipUnless(miniLmDirectory) }, async () => {
  const onnxFile = path.join(miniLmDirectory, 'onnx/model.onnx');
  const [packed, plain] = [await openFile(onnxFile, true), await openFile(onnxFile, false)];
  assert.deepEqual([packed.packs, plain.packs], [true, false]);
  const many = Array.from({ length: 8 }, (_, i) => Int32Array.from({ length: 3 + i * 2 }, (_, j) => 1000 + ((i * 31 + j * 17) % 20_000)));
  const { vectors, width: size } = await packed.run([many]);
  let at = 0;
  for (const ids of many) {
    const alone = (await plain.run([[ids]])).vectors;
    assertNear(vectors.subarray(at, at + ids.length * size), alone);
    at += ids.length * size;
  }
  await Promise.all([packed.close(), plain.close()]);
});
