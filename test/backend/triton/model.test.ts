import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelConfig, ModelMetadata } from '../../../src/backend/triton/messages.ts';
import { readTritonModel } from '../../../src/backend/triton/model.ts';

type Described = { readonly versions?: readonly string[]; readonly config: Partial<ModelConfig> & { readonly parameters?: object } };

const text = { name: 'sequences', data_type: 'TYPE_STRING', dims: [1], optional: false };
const vector = { name: 'embeddings', data_type: 'TYPE_FP16', dims: [16] };
const inputs = { input: [text], output: [vector], max_batch_size: 8 };

/** A Triton that tells of these models and no others. */
function tritonOf(models: Readonly<Record<string, Described>>) {
  const find = (name: string) => models[name] ?? assert.fail(`asked for ${name}`);
  return {
    metadata: async (name: string): Promise<ModelMetadata> => ({ name, versions: find(name).versions ?? ['1'], platform: 'x', inputs: [], outputs: [] }),
    config: async (name: string): Promise<ModelConfig> => ({
      name, platform: 'x', backend: '', max_batch_size: 0, input: [], output: [], ensemble_scheduling: null, ...find(name).config,
    }),
  };
}

const ensemble = (...parts: string[]) => ({ ...inputs, ensemble_scheduling: { step: parts.map((model_name) => ({ model_name })) } });

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
  const parts = { m: { config: ensemble('tokens', 'net') }, tokens: { config: {} }, net: { config: { parameters: { a: 1, b: 2 } } } };
  const first = await identity(parts);
  assert.equal(await identity({ ...parts, net: { config: { parameters: { b: 2, a: 1 } } } }), first, 'maps have no order');
  assert.equal(await identity({ ...parts, m: { config: { ...ensemble('tokens', 'net'), max_batch_size: 2 } } }), first, 'batches change no vector');
  for (const changed of [
    { ...parts, m: { versions: ['2'], config: ensemble('tokens', 'net') } },
    { ...parts, m: { config: ensemble('net', 'tokens') } },
    { ...parts, net: { versions: ['1', '2'], config: { parameters: { a: 1, b: 2 } } } },
    { ...parts, net: { config: { parameters: { a: 1, b: 3 } } } },
    { ...parts, tokens: { config: ensemble('more') }, more: { config: {} } },
  ]) assert.notEqual(await identity(changed), first);
});

test('an ensemble that holds itself, or too much, comes to an end', async () => {
  await readTritonModel(tritonOf({ m: { config: ensemble('m', 'net') }, net: { config: ensemble('m') } }), 'm');
  const names = Array.from({ length: 100 }, (_, i) => `part${i}`);
  const many = Object.fromEntries(names.map((name) => [name, { config: {} }]));
  await assert.rejects(readTritonModel(tritonOf({ ...many, m: { config: ensemble(...names) } }), 'm'), /too many parts/);
});
