import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planFiles } from '../../src/hub/plan.ts';
import type { PlanWants } from '../../src/hub/plan.ts';

const plain = { architecture: 'x64', features: new Set<string>() };
const plan = (names: readonly string[], wants: Partial<PlanWants> = {}): readonly string[] => (
  planFiles(names, { id: 'org/name', precision: 'auto', cpu: plain, modules: undefined, ...wants }));
const modules = (...paths: readonly string[]): string => JSON.stringify(paths.map((each) => ({ path: each })));

describe('planFiles', () => {
  test('takes settings and one ONNX file, which comes last', () => {
    const names = ['README.md', 'onnx/model.onnx', 'onnx/model_O1.onnx', 'pytorch_model.bin', 'config.json',
      'tokenizer.json', 'vocab.txt', 'tokenizer_config.json', 'sentence_roberta_config.json',
      'onnx/config.json', '.gitattributes'];
    assert.deepEqual(plan(names), [
      'config.json', 'tokenizer.json', 'tokenizer_config.json', 'sentence_roberta_config.json', 'onnx/model.onnx',
    ]);
  });

  test('takes the external data of that ONNX file only', () => {
    const names = ['tokenizer.json', 'onnx/model.onnx_data', 'onnx/model.onnx_data_1', 'onnx/model.onnx',
      'onnx/model.onnx.data', 'onnx/model_fp16.onnx', 'onnx/model_fp16.onnx_data',
      'onnx/model.onnx_database', 'onnx/model.onnx.bak'];
    assert.deepEqual(plan(names), [
      'tokenizer.json', 'onnx/model.onnx_data', 'onnx/model.onnx_data_1', 'onnx/model.onnx.data', 'onnx/model.onnx',
    ]);
    const [, ...half] = plan(names, { precision: 'fp16' });
    assert.deepEqual(half, ['onnx/model_fp16.onnx_data', 'onnx/model_fp16.onnx']);
  });

  test('chooses int8 for the CPU', () => {
    const names = ['tokenizer.json', ...['qint8_arm64', 'qint8_avx512_vnni', 'quint8_avx2', 'quantized']
      .map((name) => `onnx/model_${name}.onnx`)];
    const chosen = (architecture: string, ...features: string[]) => (
      plan(names, { precision: 'int8', cpu: { architecture, features: new Set(features) } }).at(-1));
    assert.equal(chosen('x64'), 'onnx/model_quint8_avx2.onnx');
    assert.equal(chosen('x64', 'avx512_vnni'), 'onnx/model_qint8_avx512_vnni.onnx');
    assert.equal(chosen('arm64'), 'onnx/model_qint8_arm64.onnx');
  });

  test('prefers the root to the folder onnx, and looks nowhere else', () => {
    assert.equal(plan(['tokenizer.json', 'onnx/model.onnx', 'model.onnx']).at(-1), 'model.onnx');
    assert.throws(() => plan(['tokenizer.json', 'a/onnx/model.onnx']), /there is a\/onnx\/model\.onnx\. Choose/);
  });

  test('takes the folders of listed modules, each with its weights', () => {
    const names = ['modules.json', '0_Transformer/tokenizer.json', '0_Transformer/config.json',
      '0_Transformer/onnx/model.onnx', '1_Pooling/config.json', '2_Dense/config.json', '2_Dense/model.safetensors',
      '2_Dense/pytorch_model.bin', '9_Dense/config.json'];
    assert.deepEqual(plan(names, { modules: modules('0_Transformer', '1_Pooling', '2_Dense/', '3_Normalize') }), [
      'modules.json', '0_Transformer/tokenizer.json', '0_Transformer/config.json', '1_Pooling/config.json',
      '2_Dense/config.json', '2_Dense/model.safetensors', '0_Transformer/onnx/model.onnx',
    ]);
  });

  test('takes the Pooling folder of a repository without modules.json', () => {
    assert.ok(plan(['tokenizer.json', 'model.onnx', '1_Pooling/config.json']).includes('1_Pooling/config.json'));
  });

  test('refuses modules that are elsewhere or none', () => {
    const names = ['tokenizer.json', 'model.onnx', 'modules.json'];
    const outside = [modules('../x'), modules('', '/a'), modules('', 'a/../..'), modules('a\\..')];
    for (const text of ['{', '{}', '[1]', '[null]', ...outside]) {
      const error = { name: 'HubError', reason: 'refused', message: /^modules\.json of org\/name/ };
      assert.throws(() => plan(names, { modules: text }), error, text);
    }
  });

  test('names what is missing', () => {
    assert.throws(() => plan(['model.onnx']), /^HubError: org\/name has no tokenizer\.json/);
    const many = Array.from({ length: 25 }, (_, i) => `file${i}`);
    const message = /it has tokenizer\.json, file0, .*file18 and 6 more\. Make one with: optimum-cli/;
    assert.throws(() => plan(['tokenizer.json', ...many]), message);
  });
});
