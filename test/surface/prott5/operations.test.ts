import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Call, type AnyOperation } from '../../../src/operation.ts';
import { encodeComputed } from '../../../src/surface/prott5/answers.ts';
import { prott5Operations } from '../../../src/surface/prott5/operations.ts';
import { callOperation, heldModel } from '../../support/held-model.ts';

const noCache = { enabled: false, hits: 0, misses: 0, entries: 0, bytes: 0, bytesMax: 0, compressionRatio: 1 };

function service(options: { model?: string | undefined; redis?: 'off' | 'up' | 'down'; remote?: boolean } = {}) {
  const held = heldModel();
  const model = 'model' in options ? options.model : 'held';
  const operations = prott5Operations({
    engine: held.engine,
    registry: held.registry,
    model: () => model,
    triton: options.remote
      ? { names: ['held'], isUp: () => true, checkMs: () => 1.234, model: () => ({ batchInputsMax: 8, metadata: { name: 'held' }, config: { platform: 'ensemble' } }) }
      : undefined,
    cache: { stats: () => noCache, redis: async () => ({ status: options.redis ?? 'off', memoryBytes: null, keys: null }) },
    limits: { sequencesMax: 100, residuesMax: 1000 },
  });
  const call = (name: string, body?: unknown, headers?: Record<string, string>) => {
    const operation = operations.find((each) => each.name === `prott5.${name}`)!;
    return callOperation(operation, body, headers && { headers });
  };
  return { ...held, call };
}

test('the answer has the fields of the service it replaces, keyed by what the client wrote', async () => {
  const { call } = service({ remote: true });
  const answer = (await call('compute', { sequences: ['mk', 'ACD', 'MK', 'mk', 'constructor'], batch_size: 8, use_cache: true })).json();
  assert.deepEqual(Object.keys(answer), ['embeddings', 'cache_stats', 'timing', 'model_info']);
  assert.deepEqual(Object.entries(answer.embeddings), [['mk', [2, 1]], ['ACD', [3, 1]], ['MK', [2, 1]], ['constructor', [11, 1]]]);
  assert.deepEqual(answer.cache_stats, { hit_rate: 0, compression_ratio: 1 });
  assert.deepEqual(Object.keys(answer.timing), ['total_ms', 'cache_ms', 'triton_ms', 'cache_hits', 'triton_calls']);
  assert.ok(answer.timing.total_ms >= answer.timing.triton_ms && answer.timing.triton_ms > 0);
  assert.deepEqual(answer.model_info, { model: 'held', embedding_dim: '2', precision: 'fp32' });
});

test('names that objects treat apart are keys like others, in their order', () => {
  const written = ['12', '__proto__', '3', 'toString', '"\\'];
  const call = new Call({ requestId: 'test', operation: {} as AnyOperation, timeoutMs: 1000 });
  const rows = written.map((_, i) => Float32Array.of(i, 0.5));
  const places = written.map((_, i) => i);
  const tokens = new Int32Array(written.length);
  const result = {
    rows, tokensGiven: tokens, tokensKept: tokens, queueMs: 0, tokenizeMs: 0, inferenceMs: 0, batches: 1,
    model: 'm', identity: 'i', dimension: 2, truncated: [], cache: { hits: 3, misses: 2, lookupMs: 1 },
  };
  const computed = { result, engineMs: 5, compressionRatio: 0.23456 };
  const sequences = { written, residues: written, places, items: places };
  const text = Buffer.from(encodeComputed(computed, sequences, { encoding: 'float', type: 'float32' }, call).body as Uint8Array).toString();
  assert.ok(text.startsWith('{"embeddings":{"12":[0,0.5],"__proto__":[1,0.5],"3":[2,0.5],"toString":[3,0.5],"\\"\\\\":[4,0.5]},"cache_stats":{"hit_rate":0.6,"compression_ratio":0.2346},'));
  assert.match(text, /"cache_ms":1,"triton_ms":4,"cache_hits":3,"triton_calls":1/);
  const base64 = encodeComputed(computed, sequences, { encoding: 'base64', type: 'float32' }, call).body as string;
  assert.match(base64, /^\{"embeddings":\{"12":"AAAAAAAAAD8=","__proto__":"/);
  JSON.parse(base64);
});

test('sequences go to Triton whole, and to an encoder here residue by residue', async () => {
  const remote = service({ remote: true });
  await remote.call('compute', { sequences: ['mkt'] });
  assert.deepEqual(remote.backend.ran, ['MKT']);
  const local = service();
  await local.call('compute', { sequences: ['mkt'] });
  assert.deepEqual(local.backend.ran, ['M K T']);
});

test('no more than batch_size run together', async () => {
  const { call, backend } = service({ remote: true });
  const sizes: number[] = [];
  const embed = backend.embed.bind(backend);
  backend.embed = (task) => {
    sizes.push(task.inputs.length);
    return embed(task);
  };
  const { timing } = (await call('compute', { sequences: ['AA', 'CC', 'DD', 'EE', 'FF'], batch_size: 2 })).json();
  assert.deepEqual(sizes, [2, 2, 1]);
  assert.equal(timing.triton_calls, 3);
});

test('bytes are rows for each item, equal ones too', async () => {
  const { call } = service();
  const answer = await call('compute', { sequences: ['MK', 'ACD', 'mk', 'MK'] }, { accept: 'application/octet-stream' });
  assert.equal(answer.headers['x-embedding-shape'], '4,2');
  assert.equal(answer.headers['x-cache-misses'], '2');
  const values = new Float32Array(new Uint8Array(answer.reply.body as Uint8Array).buffer);
  // The held backend tells the length of its text, spaces between residues included.
  assert.deepEqual([...values], [3, 1, 5, 1, 3, 1, 3, 1]);
});

test('what the model cannot is refused, and named', async () => {
  const { call } = service();
  for (const [body, field] of [
    [{ sequences: ['M1'] }, 'sequences[0]'],
    [{ sequences: ['MK'], per_residue: true }, 'per_residue'],
    [{ sequences: ['MK'], batch_size: 0 }, 'batch_size'],
    [{ sequences: ['MK'], model: 'other' }, 'model'],
    [{ sequences: 'MK' }, 'sequences'],
    [{}, 'sequences'],
  ] as const) {
    const answer = await call('compute', body);
    assert.ok(answer.status === 400 || answer.status === 404, JSON.stringify(body));
    assert.equal(answer.json().extra[0].key, field);
  }
  // As long as it is written for the model: 129 residues and the spaces between are 257 characters.
  const long = await call('compute', { sequences: ['M'.repeat(129)] });
  assert.deepEqual([long.status, long.json().code], [400, 'INPUT_TOO_LONG']);
});

test('a sequence too long for the model is named by its place in the request', async () => {
  const { call } = service();
  const { extra } = (await call('compute', { sequences: ['MK', 'mk', 'MK', 'M'.repeat(129)] })).json();
  assert.deepEqual(extra, [{ key: 'sequences[3]', message: "'sequences[3]' has 259 tokens; the model takes 256." }]);
});

test('without a model of proteins every path says how to get one', async () => {
  const { call } = service({ model: undefined });
  for (const answer of [await call('compute', { sequences: ['MK'] }), await call('model_info')]) {
    assert.equal(answer.status, 503);
    assert.match(answer.json().detail, /TRITON_URL.*MODEL_PATH/);
  }
  const health = await call('health');
  assert.equal(health.status, 503);
  assert.deepEqual(health.json().components.model, { status: 'not configured', name: null });
});

test('health is degraded without the Redis that was asked for', async () => {
  const answer = await service({ redis: 'down', remote: true }).call('health');
  assert.deepEqual([answer.status, answer.json().status], [200, 'degraded']);
  assert.deepEqual(answer.json().components.triton, { status: 'up', check_ms: 1.23 });
});

test('model info tells what Triton tells', async () => {
  const info = (await service({ remote: true }).call('model_info')).json();
  assert.deepEqual(info, {
    model: 'org/held', embedding_dim: '2', precision: 'fp32', backend: 'triton', state: 'ready', max_batch_size: 8,
    metadata: { name: 'held' }, config: { platform: 'ensemble' },
  });
  const local = (await service().call('model_info')).json();
  assert.deepEqual([local.backend, local.metadata], ['onnx', null]);
});
