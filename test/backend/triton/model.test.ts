import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelConfig, ModelMetadata } from '../../../src/backend/triton/messages.ts';
import { readTritonModel } from '../../../src/backend/triton/model.ts';

/** `config` may say what nothing here reads. */
type Described = { readonly versions?: readonly string[]; readonly config: Partial<ModelConfig> & Readonly<Record<string, unknown>> };

const text = { name: 'sequences', data_type: 'TYPE_STRING', dims: [1], optional: false };
const vector = { name: 'embeddings', data_type: 'TYPE_FP16', dims: [16] };
const inputs = { input: [text], output: [vector], max_batch_size: 8 };

/** A Triton that tells of these models and no others. */
function tritonOf(models: Readonly<Record<string, Described>>) {
  const find = (name: string) => models[name] ?? assert.fail(`asked for ${name}`);
  return {
    metadata: async (name: string): Promise<ModelMetadata> => ({ name, versions: find(name).versions ?? ['1'], platform: 'x', inputs: [], outputs: [] }),
    config: async (name: string): Promise<ModelConfig> => ({
      name, platform: 'x', backend: '', max_batch_size: 0, input: [], output: [], default_model_filename: '', parameters: {}, ...find(name).config,
    }),
  };
}

const ensemble = (...parts: string[]) => {
  const step = parts.map((model_name) => ({ model_name, model_version: -1, input_map: {}, output_map: {} }));
  return { ...inputs, ensemble_scheduling: { step } };
};
/** Parameters as Triton tells them. */
const told = (values: Readonly<Record<string, string>>) => Object.fromEntries(Object.entries(values).map(([name, string_value]) => [name, { string_value }]));

test('the tensors of texts and of vectors are found', async () => {
  const model = await readTritonModel(tritonOf({
    m: {
      versions: ['2', '10', '9'],
      config: {
        input: [{ ...text, name: 'option', optional: true }, text],
        output: [{ name: 'residues', data_type: 'TYPE_FP32', dims: [-1, 16] }, { name: 'ids', data_type: 'TYPE_INT64', dims: [4] }, vector],
        max_batch_size: 4,
      },
    },
  }), 'm');
  assert.deepEqual([model.version, model.input, model.output, model.outputType, model.dimension], ['10', 'sequences', 'embeddings', 'FP16', 16]);
  assert.deepEqual([model.batched, model.batchInputsMax], [true, 4]);
});

test('a model without batches takes one text at a time', async () => {
  const model = await readTritonModel(tritonOf({ m: { config: { ...inputs, max_batch_size: 0 } } }), 'm');
  assert.deepEqual([model.batched, model.batchInputsMax], [false, 1]);
});

test('what takes no text or gives no vector is refused with the reason', async () => {
  const read = (config: Partial<ModelConfig>) => readTritonModel(tritonOf({ m: { config: { ...inputs, ...config } } }), 'm');
  await assert.rejects(read({ input: [] }), /m does not take one text/);
  await assert.rejects(read({ input: [text, { ...text, name: 'b' }] }), /m does not take one text/);
  await assert.rejects(read({ input: [{ ...text, data_type: 'TYPE_INT64' }] }), /does not take one text/);
  await assert.rejects(read({ input: [{ ...text, dims: [-1] }] }), /does not take one text/);
  await assert.rejects(read({ output: [{ ...vector, dims: [-1, 16] }] }), /gives no vector/);
  await assert.rejects(read({ output: [{ ...vector, data_type: 'TYPE_INT8' }] }), /gives no vector/);
});

test('the identity follows the model and every part of an ensemble', async () => {
  const identity = async (models: Readonly<Record<string, Described>>) => (await readTritonModel(tritonOf(models), 'm')).identity;
  const parts = { m: { config: ensemble('tokens', 'net') }, tokens: { config: {} }, net: { config: { parameters: told({ a: '1', b: '2' }) } } };
  const first = await identity(parts);
  assert.equal(await identity({ ...parts, net: { config: { parameters: told({ b: '2', a: '1' }) } } }), first, 'maps have no order');
  assert.equal(await identity({ ...parts, m: { config: { ...ensemble('tokens', 'net'), max_batch_size: 2 } } }), first, 'batches change no vector');
  const scheduled = { ...parts.net.config, instance_group: [{ count: 2 }], dynamic_batching: { preserve_ordering: true }, response_cache: { enable: true } };
  assert.equal(await identity({ ...parts, net: { config: scheduled } }), first, 'how requests are scheduled changes no vector');
  for (const changed of [
    { ...parts, m: { versions: ['2'], config: ensemble('tokens', 'net') } },
    { ...parts, m: { config: ensemble('net', 'tokens') } },
    { ...parts, net: { versions: ['1', '2'], config: { parameters: told({ a: '1', b: '2' }) } } },
    { ...parts, net: { config: { parameters: told({ a: '1', b: '3' }) } } },
    { ...parts, tokens: { config: { default_model_filename: 'other.onnx' } } },
    { ...parts, tokens: { config: ensemble('more') }, more: { config: {} } },
  ]) assert.notEqual(await identity(changed), first);
});

test('an ensemble that holds itself, or too much, comes to an end', async () => {
  await readTritonModel(tritonOf({ m: { config: ensemble('m', 'net') }, net: { config: ensemble('m') } }), 'm');
  const names = Array.from({ length: 100 }, (_, i) => `part${i}`);
  const many = Object.fromEntries(names.map((name) => [name, { config: {} }]));
  await assert.rejects(readTritonModel(tritonOf({ ...many, m: { config: ensemble(...names) } }), 'm'), /too many parts/);
});
