// Graphs as exporters write them, opened so that rows hold several texts; those that cannot be are opened as they are.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Embedder } from '../../native-workers/embedder.ts';
import { packGraph } from '../../native-workers/packed-graph.ts';
import { EmbeddingSession } from '../../native-workers/session.ts';
import { initializer, node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';
import { miniLmDirectory, skipUnless } from '../support/fixtures.ts';
import { embedTask, settingsFor, temporaryFolder, tinyModel } from './tiny-model.ts';

const folder = temporaryFolder();
const [vocabularySize, positionCount, width] = [40, 32, 4];

type Attention = {
  /** How positions are made. */
  readonly positions?: 'slice' | 'range' | 'offset' | 'ids' | 'none';
  readonly mask?: 'add' | 'where';
  /** What else the bias of attention holds, by the places of query and key. */
  readonly places?: (query: number, key: number) => number;
  /** Whether token types are read from a table as long as the longest text, as BERT does where it is given none. */
  readonly types?: boolean;
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
function attention({ positions = 'slice', mask = 'add', places, types = false, pools = false, heads = true, operatorSet = 17 }: Attention = {}): Buffer {
  const nodes = [node('Gather', ['words', 'input_ids'], ['word_vectors'])];
  const axes = (operator: string, input: string, axis: number, output: string) => operatorSet >= 13
    ? node(operator, [input, `axes_${axis}`], [output]) : node(operator, [input], [output], { axes: [axis] });
  const initializers = [
    initializer('words', 'float32', [vocabularySize, width], waves(vocabularySize, 0.37)),
    initializer('places', 'float32', [positionCount, width], waves(positionCount, 0.91)),
    int64s('counted', ...Array.from({ length: positionCount }, (_, i) => BigInt(i))),
    scalar('zero', 0n), scalar('one', 1n), int64s('zeros', 0n),
    int64s('axes_0', 0n), int64s('axes_1', 1n), int64s('axes_2', 2n),
    initializer('one_float', 'float32', [], Float32Array.of(1)), initializer('lowest', 'float32', [], Float32Array.of(-1e9)),
  ];
  let tokens = 'word_vectors';
  if (positions !== 'none') {
    nodes.push(node('Shape', ['input_ids'], ['shape']), node('Gather', ['shape', 'one'], ['length']), axes('Unsqueeze', 'length', 0, 'lengths'));
    if (positions === 'slice') nodes.push(node('Slice', ['counted', 'zeros', 'lengths'], ['position_numbers']));
    if (positions === 'range') nodes.push(node('Range', ['zero', 'length', 'one'], ['position_numbers']));
    if (positions === 'offset') nodes.push(node('Range', ['zero', 'length', 'one'], ['places_numbers']), node('Add', ['places_numbers', 'one'], ['position_numbers']));
    if (positions === 'ids') nodes.push(node('CumSum', ['input_ids', 'one'], ['sums']), node('Mod', ['sums', 'some'], ['position_numbers']));
    initializers.push(scalar('some', 7n));
    nodes.push(node('Gather', ['places', 'position_numbers'], ['place_vectors']), node('Add', [tokens, 'place_vectors'], ['placed']));
    tokens = 'placed';
  }
  if (types) {
    initializers.push(initializer('types', 'int64', [positionCount], new BigInt64Array(positionCount)));
    nodes.push(
      node('Slice', ['types', 'zeros', 'lengths'], ['types_part']), node('Expand', ['types_part', 'shape'], ['type_numbers']),
      node('Gather', ['places', 'type_numbers'], ['type_vectors']), node('Add', [tokens, 'type_vectors'], ['typed']),
    );
    tokens = 'typed';
  }
  nodes.push(node('Cast', ['attention_mask'], ['mask'], { to: 1 }));
  if (heads) nodes.push(axes('Unsqueeze', tokens, 1, 'values'), axes('Unsqueeze', 'mask', 1, 'mask_heads'));
  else nodes.push(node('Identity', [tokens], ['values']), node('Identity', ['mask'], ['mask_heads']));
  nodes.push(
    node('Transpose', ['values'], ['keys'], { perm: heads ? [0, 1, 3, 2] : [0, 2, 1] }), node('MatMul', ['values', 'keys'], ['products']),
    axes('Unsqueeze', 'mask_heads', heads ? 2 : 1, 'mask_keys'), node('Sub', ['one_float', 'mask_keys'], ['hidden']),
    node('Mul', ['hidden', 'lowest'], [places === undefined ? 'bias' : 'mask_bias']),
  );
  if (places !== undefined) {
    const grid = Float32Array.from({ length: positionCount ** 2 }, (_, i) => places(Math.floor(i / positionCount), i % positionCount));
    initializers.push(initializer('grid', 'float32', [positionCount, positionCount], grid), int64s('grid_starts', 0n, 0n));
    nodes.push(
      node('Concat', ['lengths', 'lengths'], ['grid_ends'], { axis: 0 }), node('Slice', ['grid', 'grid_starts', 'grid_ends'], ['grid_part']),
      node('Add', ['mask_bias', 'grid_part'], ['bias']),
    );
  }
  if (mask === 'add') nodes.push(node('Add', ['products', 'bias'], ['scores']));
  else nodes.push(node('Cast', ['hidden'], ['is_hidden'], { to: 9 }), node('Where', ['is_hidden', 'lowest', 'products'], ['scores']));
  nodes.push(node('Softmax', ['scores'], ['shares'], { axis: heads ? 3 : 2 }), node('MatMul', ['shares', 'values'], ['mixed']));
  nodes.push(heads ? axes('Squeeze', 'mixed', 1, 'tokens_out') : node('Identity', ['mixed'], ['tokens_out']));
  nodes.push(...(pools ? [axes('Unsqueeze', 'mask', 2, 'mask_each'), node('Mul', ['tokens_out', 'mask_each'], ['last_hidden_state'])]
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
    onnxFile, packTokensMax: pack ? positionCount : undefined, intraOpThreads: 1, spinning: false, arena: true, device: 'cpu', padTokenId: 0, preferPooled: false, foldQuantizedWeights: true,
  });
}

const texts = [Int32Array.of(3, 30, 7, 9), Int32Array.of(39), Int32Array.of(12, 3, 30, 30, 5, 6, 21)];
/** One less than there are positions, as some begin with the second. */
const longText = Int32Array.from({ length: positionCount - 1 }, (_, i) => 1 + ((i * 7) % (vocabularySize - 1)));

function assertNear(actual: Float32Array, expected: Float32Array): void {
  assert.equal(actual.length, expected.length);
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
  assert.ok(worst <= 1e-5, `${worst} off`);
}

describe('a graph that can be packed', () => {
  const graphs: Attention[] = [{}, { positions: 'range' }, { positions: 'none' }, { operatorSet: 11 }];
  for (const graph of graphs) {
    test(`gives each text of a row the vectors it has alone: ${JSON.stringify(graph)}`, async () => {
      const [packed, plain] = [await open(attention(graph), true), await open(attention(graph), false)];
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

test('rows are no longer than the longest text, where tables of the graph may end', async () => {
  const changes = { onnxFile: path.join(folder, 'types.onnx'), inputTokensMax: positionCount };
  const model = { ...tinyModel(folder), ...changes };
  writeFileSync(model.onnxFile, attention({ types: true }));
  const embedder = await Embedder.open(settingsFor(model), 'cpu');
  assert.equal(embedder.describe().packs, true);
  const inputs = [30, 18, 18, 18].map((length, text) => Int32Array.from({ length }, (_, i) => 4 + ((text + i * 5) % 9)));
  const { rows, stride } = await embedder.embed(embedTask(inputs));
  for (const [i, input] of inputs.entries()) {
    assertNear(rows.subarray(i * stride, (i + 1) * stride), (await embedder.embed(embedTask([input]))).rows);
  }
  await embedder.close();
});

const others: readonly [string, Attention][] = [
  ['positions out of token ids', { positions: 'ids' }],
  ['scores that are replaced, not added to', { mask: 'where' }],
  ['a mask that pools, too', { pools: true }],
  ['a bias that holds relative positions', { places: (query, key) => Math.sin(query - key) }],
  ['a bias that hides what comes later', { places: (query, key) => (key > query ? -1e9 : 0) }],
  ['a bias that hides what is far off', { places: (query, key) => (Math.abs(query - key) > 12 ? -1e9 : 0) }],
  ['positions that do not begin with the first', { positions: 'offset' }],
  ['scores that a bias for heads does not fit', { heads: false }],
];

for (const [name, changes] of others) {
  test(`${name}: the graph is opened as it is`, async () => {
    const [asked, plain] = [await open(attention(changes), true), await open(attention(changes), false)];
    assert.equal(asked.packs, false);
    const rows = [...texts, longText].map((text) => [text]);
    assert.deepEqual((await asked.run(rows)).vectors, (await plain.run(rows)).vectors);
    await Promise.all([asked.close(), plain.close()]);
  });
}

test('a graph of operators older than ours is left alone', () => {
  assert.equal(packGraph(attention({ operatorSet: 10 })), undefined);
});

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
