// Models of a few hundred bytes for the worker's tests: a token's vector is its row of a table, so every
// expected number can be computed by hand.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import type { EmbeddingManifest } from '../../src/backend/manifest.ts';
import type { EmbedOptions, EmbedTask, WorkerSettings } from '../../src/backend/protocol.ts';
import { elementTypes, initializer, node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';
import type { ElementType } from '../support/onnx-bytes.ts';

export const vocabulary = [
  '[PAD]', '[UNK]', '[CLS]', '[SEP]', 'one', 'two', 'three', 'four', 'five', '##s', 'query', ':', 'σ', '##σ', 'NaN',
] as const;

export const special = { pad: 0, unknown: 1, cls: 2, sep: 3 };

export const width = 4;

/** The row of a token: values differ in every place, of both signs. */
export function tableRow(id: number): number[] {
  return Array.from({ length: width }, (_, i) => Math.sin(1 + id * 3.7 + i * 1.3) * (1 + (id % 3)));
}

/** A folder of this test file, removed when its tests have ended. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'ortserve-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

type Json = Readonly<Record<string, unknown>>;

/** tokenizer.json of a BERT with the vocabulary above; `changes` replaces top-level parts. */
export function writeTokenizer(folder: string, changes: Json = {}): string {
  const file = path.join(folder, 'tokenizer.json');
  const token = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const added = [special.pad, special.unknown, special.cls, special.sep].map((id) => ({
    id, content: vocabulary[id], special: true, normalized: false, single_word: false, lstrip: false, rstrip: false,
  }));
  const tokenizer = {
    version: '1.0',
    // What the author last ran with, and what must not be used.
    truncation: { max_length: 3, strategy: 'LongestFirst', stride: 0, direction: 'Right' },
    padding: { strategy: { Fixed: 16 }, direction: 'Right', pad_id: 0, pad_type_id: 0, pad_token: '[PAD]' },
    added_tokens: added,
    normalizer: {
      type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [token('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, token('[SEP]')],
      pair: [],
      special_tokens: {},
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
    },
    ...changes,
  };
  writeFileSync(file, JSON.stringify(tokenizer));
  return file;
}

export type TinyGraph = {
  readonly inputs?: readonly string[];
  readonly inputType?: 'int64' | 'int32';
  readonly outputType?: ElementType;
  readonly outputName?: string;
  /** One vector a row: the first token's, doubled, to be told from what pooling would give. */
  readonly pooled?: boolean;
  /** As models/pack.py makes them: rows hold several texts, told apart by the numbers of attention_mask. */
  readonly packed?: boolean;
};

/**
 * vectors = table[input_ids], plus the position in every value when the graph asks for position_ids, plus a hundred
 * times attention_mask when it is packed.
 */
export function tinyOnnx(options: TinyGraph = {}): Buffer {
  const { inputs = ['input_ids', 'attention_mask'], inputType = 'int64', outputType = 'float32' } = options;
  const outputName = options.outputName ?? (options.pooled === true ? 'sentence_embedding' : 'last_hidden_state');
  const values = new Float32Array(vocabulary.flatMap((word, id) => (word === 'NaN' ? [NaN, 0, 0, 0] : tableRow(id))));
  const initializers = [initializer('table', 'float32', [vocabulary.length, width], values)];
  const nodes = [node('Gather', ['table', 'input_ids'], ['gathered'])];
  let last = 'gathered';
  if (inputs.includes('position_ids')) {
    initializers.push(initializer('axes', 'int64', [1], BigInt64Array.of(2n)));
    nodes.push(node('Cast', ['position_ids'], ['positions'], { to: 1 }));
    nodes.push(node('Unsqueeze', ['positions', 'axes'], ['positions_each']));
    nodes.push(node('Add', [last, 'positions_each'], ['placed']));
    last = 'placed';
  }
  if (options.packed === true) {
    initializers.push(initializer('hundred', 'float32', [], Float32Array.of(100)), initializer('last', 'int64', [1], BigInt64Array.of(2n)));
    nodes.push(node('Cast', ['attention_mask'], ['numbers'], { to: 1 }), node('Unsqueeze', ['numbers', 'last'], ['numbers_each']));
    nodes.push(node('Mul', ['numbers_each', 'hundred'], ['hundreds']), node('Add', [last, 'hundreds'], ['numbered']));
    last = 'numbered';
  }
  if (options.pooled === true) {
    initializers.push(initializer('zero', 'int64', [], BigInt64Array.of(0n)));
    nodes.push(node('Gather', [last, 'zero'], ['first'], { axis: 1 }), node('Add', ['first', 'first'], ['doubled']));
    last = 'doubled';
  }
  nodes.push(node('Cast', [last], [outputName], { to: elementTypes[outputType] }));
  const shape = options.pooled === true ? ['rows', width] : ['rows', 'tokens', width];
  return onnxModel({
    nodes,
    initializers,
    inputs: inputs.map((name) => tensorInfo(name, inputType, ['rows', options.packed === true ? 'packed_sequence_length' : 'tokens'])),
    outputs: [tensorInfo(outputName, outputType, shape)],
  });
}

/** A whole model in `folder`; `changes` replaces parts of the manifest. */
export function tinyModel(
  folder: string,
  graph: TinyGraph = {},
  changes: Partial<EmbeddingManifest> = {},
): EmbeddingManifest {
  const onnxFile = path.join(folder, 'model.onnx');
  writeFileSync(onnxFile, tinyOnnx(graph));
  return {
    name: 'tiny',
    onnxFile,
    tokenizerFile: writeTokenizer(folder),
    tokenizerConfigFile: undefined,
    inputTokensMax: 8,
    padTokenId: special.pad,
    lowerCase: false,
    modules: [{ kind: 'pooling', modes: ['mean'], includePrompt: true }, { kind: 'normalize' }],
    matryoshkaDimensions: [],
    prompts: {},
    defaultPromptName: undefined,
    precision: 'fp32',
    batchable: true,
    protein: false,
    ...changes,
  };
}

export function settingsFor(model: EmbeddingManifest): WorkerSettings {
  const workerCounter = new SharedArrayBuffer(4);
  return { model, intraOpThreads: 1, spinning: false, arena: true, devices: ['cpu'], workerCounter };
}

export const plain: EmbedOptions = { prompt: '', truncation: 'right', dimension: 0, normalize: undefined };

/** The last of the options holds for the inputs that are left. */
export function embedTask(inputs: EmbedTask['inputs'], ...options: readonly EmbedOptions[]): EmbedTask {
  const each = inputs.map((_, i) => options[i] ?? options.at(-1) ?? plain);
  return { kind: 'embed', inputs, options: each, runCost: { tokensMax: 64, overheadTokens: 16 } };
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, squaresA, squaresB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    squaresA += a[i]! ** 2;
    squaresB += b[i]! ** 2;
  }
  return dot / Math.sqrt(squaresA * squaresB);
}
