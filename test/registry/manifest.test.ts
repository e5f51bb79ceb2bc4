import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { ManifestError, readManifest } from '../../src/registry/manifest.ts';
import type { ManifestWants } from '../../src/registry/manifest.ts';
import { embeddedModelDirectory, miniLmDirectory, skipUnless, tinyDenseDirectory } from '../support/fixtures.ts';
import { modelFolder, onnxOf } from './model-folder.ts';
import type { Files } from './model-folder.ts';

const auto: ManifestWants = { precision: 'auto' };

function refused(files: Files, message: RegExp, wants: ManifestWants = auto): void {
  const folder = modelFolder(files);
  assert.throws(() => readManifest(folder, wants), (error) => {
    assert.ok(error instanceof ManifestError);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

test('a sentence-transformers folder is read whole', () => {
  const folder = modelFolder({}, 'some-model');
  assert.deepEqual({ ...readManifest(folder, auto), prompts: {} }, {
    name: 'some-model',
    onnxFile: path.join(folder, 'onnx/model.onnx'),
    tokenizerFile: path.join(folder, 'tokenizer.json'),
    tokenizerConfigFile: path.join(folder, 'tokenizer_config.json'),
    inputTokensMax: 128,
    padTokenId: 0,
    lowerCase: false,
    modules: [{ kind: 'pooling', modes: ['mean'], includePrompt: true }, { kind: 'normalize' }],
    matryoshkaDimensions: [],
    prompts: {},
    defaultPromptName: undefined,
    precision: 'fp32',
    batchable: true,
    protein: false,
  });
});

const realModels = skipUnless(miniLmDirectory, embeddedModelDirectory, tinyDenseDirectory);

test('the real models are read', { skip: realModels }, () => {
  const full = readManifest(miniLmDirectory, auto);
  assert.equal(full.name, 'all-MiniLM-L6-v2');
  assert.equal(full.inputTokensMax, 256);
  assert.deepEqual([full.precision, full.batchable], ['fp32', true]);
  const compact = readManifest(embeddedModelDirectory, { ...auto, name: 'sentence-transformers/all-MiniLM-L6-v2' });
  assert.equal(compact.name, 'sentence-transformers/all-MiniLM-L6-v2');
  assert.deepEqual([compact.precision, compact.batchable], ['int8-weights', true]);
  assert.deepEqual(readManifest(tinyDenseDirectory, auto).modules.map((module) => module.kind), ['pooling', 'dense']);
});

test('the dynamically quantised file is not batchable', { skip: skipUnless(miniLmDirectory) || vnniMissing() }, () => {
  const manifest = readManifest(miniLmDirectory, { precision: 'int8' });
  assert.match(manifest.onnxFile, /qint8/);
  assert.deepEqual([manifest.precision, manifest.batchable], ['int8', false]);
});

function vnniMissing(): string | false {
  try {
    readManifest(miniLmDirectory, { precision: 'int8' });
    return false;
  } catch {
    return 'the int8 file that is there needs a CPU with VNNI';
  }
}

describe('the name', () => {
  test('is what the operator says, else the folder', () => {
    assert.equal(readManifest(modelFolder(), { ...auto, name: 'org/model' }).name, 'org/model');
    assert.equal(readManifest(`${modelFolder({}, 'm')}/`, auto).name, 'm');
  });

  test('is the repository in the cache of the Hub', () => {
    const folder = modelFolder({}, 'models--BAAI--bge-small-en-v1.5/snapshots/5c38ec7c405ec4b44b94cc5a9bb96e73');
    assert.equal(readManifest(folder, auto).name, 'BAAI/bge-small-en-v1.5');
  });
});

describe('the longest input', () => {
  const tokens = (files: Files, contextTokensMax?: number) => {
    const wants = contextTokensMax === undefined ? auto : { ...auto, contextTokensMax };
    return readManifest(modelFolder(files), wants).inputTokensMax;
  };

  test('is sentence-transformers\' max_seq_length, in the older file names, too', () => {
    assert.equal(tokens({}), 128);
    const older = { 'sentence_xlm-roberta_config.json': { max_seq_length: 64 } };
    assert.equal(tokens({ 'sentence_bert_config.json': undefined, ...older }), 64);
  });

  test('is what the tokenizer and the positions allow where that is not given', () => {
    const absent = { 'sentence_bert_config.json': { max_seq_length: null } };
    assert.equal(tokens(absent), 512);
    assert.equal(tokens({ ...absent, 'tokenizer_config.json': { model_max_length: 300 } }), 300);
    assert.equal(tokens({ ...absent, 'tokenizer_config.json': { model_max_length: 1e30 } }), 512);
    assert.equal(tokens({ ...absent, 'tokenizer_config.json': undefined }), 512);
  });

  test('is never more than the positions of the model', () => {
    assert.equal(tokens({ 'sentence_bert_config.json': { max_seq_length: 8192 } }), 512);
    const roberta = { model_type: 'roberta', max_position_embeddings: 514, pad_token_id: 1 };
    assert.equal(tokens({ 'config.json': roberta, 'sentence_bert_config.json': { max_seq_length: 514 } }), 512);
  });

  test('is what the operator says, up to the positions', () => {
    assert.equal(tokens({}, 64), 64);
    assert.equal(tokens({}, 256), 256);
    assert.equal(tokens({}, 4096), 512);
  });

  test('must be found somewhere', () => {
    const nowhere = {
      'config.json': {},
      'sentence_bert_config.json': undefined,
      'tokenizer_config.json': { model_max_length: 1e30 },
    };
    refused(nowhere, /set the context length/);
    assert.equal(tokens(nowhere, 512), 512);
  });
});

describe('the padding token', () => {
  const padToken = (files: Files) => readManifest(modelFolder(files), auto).padTokenId;
  const positions = { max_position_embeddings: 512 };

  test('is config.json\'s', () => assert.equal(padToken({ 'config.json': { ...positions, pad_token_id: 7 } }), 7));

  test('else the tokenizer\'s', () => {
    const tokenizer = { added_tokens: [{ id: 3, content: '<pad>' }, { id: 4, content: '<s>' }] };
    for (const named of ['<pad>', { content: '<pad>', special: true }]) {
      const files = { 'config.json': positions, 'tokenizer.json': tokenizer };
      assert.equal(padToken({ ...files, 'tokenizer_config.json': { pad_token: named } }), 3);
    }
    assert.equal(padToken({ 'config.json': positions, 'tokenizer.json': { padding: { pad_id: 5 } } }), 5);
    assert.equal(padToken({ 'config.json': { ...positions, pad_token_id: null } }), 0);
  });
});

describe('prompts', () => {
  const withPrompts = (config: object) => {
    return readManifest(modelFolder({ 'config_sentence_transformers.json': config }), auto);
  };

  test('are those of config_sentence_transformers.json', () => {
    const given = { query: 'query: ', document: '' };
    const { prompts, defaultPromptName } = withPrompts({ prompts: given, default_prompt_name: 'query' });
    assert.deepEqual({ ...prompts }, given);
    assert.equal(defaultPromptName, 'query');
    assert.equal(withPrompts({ prompts: {}, default_prompt_name: null }).defaultPromptName, undefined);
  });

  test('hold no name that the folder did not give', () => {
    const config = Buffer.from('{"prompts": {"__proto__": "x: "}}');
    const { prompts } = readManifest(modelFolder({ 'config_sentence_transformers.json': config }), auto);
    assert.deepEqual(Object.keys(prompts), ['__proto__']);
    assert.equal(prompts['constructor'], undefined);
    assert.equal(({} as Record<string, unknown>)['query'], undefined);
  });

  test('are refused where they are not texts or the default is none of them', () => {
    refused({ 'config_sentence_transformers.json': { prompts: { query: 1 } } }, /prompt 'query' is not a text/);
    const absent = { prompts: {}, default_prompt_name: 'query' };
    refused({ 'config_sentence_transformers.json': absent }, /'query' is not among/);
  });
});

test('Matryoshka dimensions come from config.json, ascending', () => {
  const dimensions = (config: object) => {
    const folder = modelFolder({ 'config.json': { max_position_embeddings: 8, ...config } });
    return readManifest(folder, auto).matryoshkaDimensions;
  };
  assert.deepEqual(dimensions({ matryoshka_dimensions: [256, 64, 128] }), [64, 128, 256]);
  assert.deepEqual(dimensions({ matryoshka_dims: [32, 'x', -1] }), [32]);
  assert.deepEqual(dimensions({}), []);
});

describe('the ONNX file', () => {
  const described = (file: string, operators: string[], wants = auto) => {
    const folder = modelFolder({ 'onnx/model.onnx': undefined, [file]: onnxOf(operators) });
    const { onnxFile, precision, batchable } = readManifest(folder, wants);
    return [path.basename(onnxFile), precision, batchable];
  };

  test('may lie in the folder itself', () => {
    assert.deepEqual(described('model.onnx', []), ['model.onnx', 'fp32', true]);
  });

  test('is described by its operators', () => {
    const of = (...operators: string[]) => described('model.onnx', operators).slice(1);
    assert.deepEqual(of('MatMul', 'DequantizeLinear'), ['int8-weights', true]);
    assert.deepEqual(of('QuantizeLinear', 'DequantizeLinear'), ['int8', true]);
    assert.deepEqual(of('DynamicQuantizeLinear', 'DequantizeLinear', 'MatMulInteger'), ['int8', false]);
    assert.deepEqual(of('DynamicQuantizeMatMul'), ['int8', false]);
    assert.deepEqual(of('MatMulNBits'), ['int4-weights', true]);
  });

  test('follows the wanted precision', () => {
    assert.deepEqual(described('onnx/model_fp16.onnx', [], { precision: 'fp16' }), ['model_fp16.onnx', 'fp16', true]);
    assert.deepEqual(described('onnx/model_O4.onnx', [], { precision: 'fp16' }), ['model_O4.onnx', 'fp16', true]);
    assert.deepEqual(
      described('onnx/model_quantized.onnx', ['DynamicQuantizeLinear'], { precision: 'int8' }),
      ['model_quantized.onnx', 'int8', false],
    );
  });

  test('is refused with what there is instead', () => {
    refused({}, /precision fp16 .*model_fp16\.onnx or model_O4\.onnx; there is model\.onnx/, { precision: 'fp16' });
    refused({ 'onnx/model.onnx': undefined }, /there is none at all/);
    refused({ 'onnx/model.onnx': onnxOf(['DynamicQuantizeLinear']) }, /computes in int8/, { precision: 'fp32' });
    const pointer = Buffer.from('version https://git-lfs.github.com/spec/v1\n');
    refused({ 'onnx/model.onnx': pointer }, /not a whole ONNX model/);
  });
});

describe('a folder without modules.json', () => {
  const bare: Files = { 'modules.json': undefined, '1_Pooling/config.json': undefined };

  test('needs the pooling from the operator and is not taken to normalise', () => {
    refused(bare, /set POOLING/);
    assert.deepEqual(readManifest(modelFolder(bare), { ...auto, pooling: 'cls' }).modules, [
      { kind: 'pooling', modes: ['cls'], includePrompt: true },
    ]);
  });

  test('may still say how to pool', () => {
    const { modules } = readManifest(modelFolder({ 'modules.json': undefined }), auto);
    assert.deepEqual(modules, [{ kind: 'pooling', modes: ['mean'], includePrompt: true }]);
  });

  test('needs no pooling when the graph does it', () => {
    const pooled = onnxOf(['Gather'], ['sentence_embedding']);
    assert.deepEqual(readManifest(modelFolder({ ...bare, 'onnx/model.onnx': pooled }), auto).modules, []);
  });
});

test('broken files are named', () => {
  refused({ 'config.json': Buffer.from('{') }, /config\.json is not valid JSON/);
  refused({ 'config.json': Buffer.from('[]') }, /config\.json must hold a JSON object/);
  refused({ 'tokenizer.json': undefined }, /no tokenizer\.json/);
});

test('the Transformer may lie in a folder of its own', () => {
  const modules = [
    { idx: 1, path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
    { idx: 0, path: '0_Transformer', type: 'sentence_transformers.models.Transformer' },
  ];
  const folder = modelFolder({
    'modules.json': modules,
    '0_Transformer/config.json': { max_position_embeddings: 64 },
    '0_Transformer/tokenizer.json': {},
    '0_Transformer/sentence_bert_config.json': { max_seq_length: 32, do_lower_case: true },
  });
  const manifest = readManifest(folder, auto);
  assert.equal(manifest.inputTokensMax, 32);
  assert.equal(manifest.lowerCase, true);
  assert.equal(manifest.tokenizerFile, path.join(folder, '0_Transformer/tokenizer.json'));
});
