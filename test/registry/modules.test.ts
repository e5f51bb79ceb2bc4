import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { EmbeddingModule } from '../../src/backend/manifest.ts';
import { ManifestError } from '../../src/registry/json-file.ts';
import { readModuleList, readModules } from '../../src/registry/modules.ts';
import { meanPooling, modelFolder, modulesJson } from './model-folder.ts';
import type { Files } from './model-folder.ts';

function modulesOf(folder: string): readonly EmbeddingModule[] {
  return readModules(folder, readModuleList(folder)!);
}

function refused(files: Files, message: RegExp): void {
  const folder = modelFolder(files);
  assert.throws(() => modulesOf(folder), (error) => error instanceof ManifestError && message.test(error.message));
}

describe('the pooling modes', () => {
  const modes = (config: object) => {
    const [pooling] = modulesOf(modelFolder({ '1_Pooling/config.json': config }));
    return pooling?.kind === 'pooling' ? pooling.modes : undefined;
  };

  test('are all that are switched on, in the order in which sentence-transformers concatenates', () => {
    assert.deepEqual(modes({
      pooling_mode_lasttoken: true,
      pooling_mode_weightedmean_tokens: true,
      pooling_mode_mean_sqrt_len_tokens: true,
      pooling_mode_mean_tokens: true,
      pooling_mode_max_tokens: true,
      pooling_mode_cls_token: true,
    }), ['cls', 'max', 'mean', 'meanSqrtLength', 'weightedMean', 'lastToken']);
    assert.deepEqual(modes({ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }), ['cls']);
  });

  test('include the mean unless it is switched off', () => {
    assert.deepEqual(modes({ word_embedding_dimension: 4 }), ['mean']);
  });

  test('may be named', () => {
    assert.deepEqual(modes({ pooling_mode: 'mean' }), ['mean']);
    assert.deepEqual(modes({ pooling_mode: 'LASTTOKEN' }), ['lastToken']);
    assert.deepEqual(modes({ pooling_mode: ['mean', 'cls'] }), ['cls', 'mean']);
    assert.deepEqual(modes({ pooling_mode: null, pooling_mode_mean_tokens: true }), ['mean']);
  });

  test('are refused where they are unknown, absent or none', () => {
    refused({ '1_Pooling/config.json': { pooling_mode: 'attention' } }, /'attention'/);
    refused({ '1_Pooling/config.json': { pooling_mode: [] } }, /no way to pool/);
    refused({ '1_Pooling/config.json': { pooling_mode_mean_tokens: false } }, /no way to pool/);
    refused({ '1_Pooling/config.json': undefined }, /no config\.json/);
  });

  test('yield to what the operator says, but not the place of the prompt', () => {
    const folder = modelFolder({ '1_Pooling/config.json': { ...meanPooling, include_prompt: false } });
    const [pooling] = readModules(folder, readModuleList(folder)!, 'cls');
    assert.deepEqual(pooling, { kind: 'pooling', modes: ['cls'], includePrompt: false });
  });
});

describe('Dense modules', () => {
  const tanh = 'torch.nn.modules.activation.Tanh';
  const dense = { in_features: 4, out_features: 2, bias: true, activation_function: tanh };
  const identity = { ...dense, in_features: 2, bias: false, activation_function: 'torch.nn.modules.linear.Identity' };
  const files = (config: object, weights = 'model.safetensors'): Files => ({
    'modules.json': modulesJson('Transformer', 'Pooling', 'Dense'),
    '2_Dense/config.json': config,
    [`2_Dense/${weights}`]: Buffer.alloc(8),
  });

  test('are read in their order', () => {
    const folder = modelFolder({
      ...files(dense),
      'modules.json': modulesJson('Transformer', 'Pooling', 'Dense', 'Dense', 'Dropout', 'Normalize'),
      '3_Dense/config.json': identity,
      '3_Dense/model.safetensors': Buffer.alloc(8),
    });
    assert.deepEqual(modulesOf(folder).slice(1), [
      {
        kind: 'dense', weightsFile: path.join(folder, '2_Dense/model.safetensors'),
        inputDimension: 4, outputDimension: 2, bias: true, activation: 'tanh',
      },
      {
        kind: 'dense', weightsFile: path.join(folder, '3_Dense/model.safetensors'),
        inputDimension: 2, outputDimension: 2, bias: false, activation: 'identity',
      },
      { kind: 'normalize' },
    ]);
  });

  test('are refused where they cannot be computed', () => {
    refused(files(dense, 'pytorch_model.bin'), /no model\.safetensors/);
    refused(files({ ...dense, activation_function: 'torch.nn.modules.activation.SELU' }), /SELU/);
    refused(files({ ...dense, activation_function: 'custom.Tanh' }), /custom\.Tanh/);
    refused(files({ ...dense, in_features: '4' }), /lacks in_features/);
    refused(files({ ...dense, module_input_name: 'token_embeddings' }), /'token_embeddings' is not supported/);
  });
});

describe('modules.json', () => {
  test('is refused where it lists what this server cannot compute', () => {
    const listed = (...types: string[]) => ({ 'modules.json': modulesJson(...types) });
    refused(listed('Transformer', 'Pooling', 'LayerNorm'), /LayerNorm/);
    refused(listed('Transformer', 'WeightedLayerPooling', 'Pooling'), /must begin with Transformer, Pooling/);
    refused(listed('Transformer'), /must begin with Transformer, Pooling/);
    refused(listed('Transformer', 'Pooling', 'custom_st.Transformer'), /custom_st\.Transformer is Python code/);
    refused({ 'modules.json': [] }, /must begin/);
    refused({ 'modules.json': { type: 'Transformer' } }, /must hold a JSON array/);
    refused({ 'modules.json': [null] }, /needs a type and a path/);
  });

  test('must not lead out of the folder', () => {
    for (const escape of ['../other', '/etc', 'a/../../b']) {
      const modules = [{ idx: 0, path: escape, type: 'sentence_transformers.models.Transformer' }];
      refused({ 'modules.json': modules }, /leaves the model's folder/);
    }
  });
});
