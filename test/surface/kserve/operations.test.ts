import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { until } from '../../support/until.ts';
import { headerOf, infer, inferBody, serveKserve } from './support.ts';

const ask = async (url: string, method = 'GET', body?: string) => {
  const answer = await fetch(url, { method, ...(body !== undefined && { body }) });
  return { status: answer.status, json: (await answer.json()) as any };
};

test('a model is described from what its folder and its graph say', async (t) => {
  const { url } = await serveKserve(t);
  assert.deepEqual((await ask(`${url}/v2/models/versions`)).json, {
    name: 'versions', versions: ['1', '2'], platform: 'onnxruntime_onnx',
    inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 2] }], outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 2] }],
  });
  assert.deepEqual((await ask(`${url}/v2/models/versions/versions/1`)).json.inputs[0].shape, [-1]);
  const config = (await ask(`${url}/v2/models/batching/config`)).json;
  assert.deepEqual([config.max_batch_size, config.input[0].dims, config.output[0].dims], [8, [4], [4]]);
  assert.deepEqual(config.dynamic_batching, {
    preferred_batch_size: [4], max_queue_delay_microseconds: 20_000, preserve_ordering: false, priority_levels: 3, default_priority_level: 2, priority_queue_policy: {},
  });
  assert.equal((await ask(`${url}/v2/models/two/config`)).json.dynamic_batching, undefined);
});

test('a name with slashes is found raw and quoted, with and without a version', async (t) => {
  const { url } = await serveKserve(t);
  const { body, headerBytes } = inferBody([{ name: 'text', shape: [2], datatype: 'BYTES', data: ['a', 'b'] }]);
  for (const name of ['org/held', 'org%2Fheld', 'org/held/versions/1', 'org%2Fheld/versions/1', 'held']) {
    assert.equal((await ask(`${url}/v2/models/${name}`)).json.outputs[0].name, 'embedding', name);
    assert.equal((await ask(`${url}/v2/models/${name}/config`)).status, 200, name);
    assert.equal((await ask(`${url}/v2/models/${name}/stats`)).json.model_stats[0].name, 'org/held', name);
    assert.equal((await ask(`${url}/v2/models/${name}/ready`)).status, 200, name);
    const answer = await infer(url, name, body, headerOf(headerBytes));
    assert.deepEqual([answer.status, answer.json.outputs[0].shape[0]], [200, 2], name);
  }
  assert.equal((await ask(`${url}/v2/models/org/held/versions/2`)).status, 404);
  for (const name of ['org/held', 'org%2Fheld']) {
    assert.equal((await ask(`${url}/v2/repository/models/${name}/unload`, 'POST')).status, 200);
    assert.equal((await ask(`${url}/v2/repository/models/${name}/load`, 'POST')).status, 200);
  }
});

test('the repository tells states; unloading starts and does not wait', async (t) => {
  const { url } = await serveKserve(t);
  const stateOf = async (name: string) => (await ask(`${url}/v2/repository/index`, 'POST')).json.find((row: { name: string }) => row.name === name);
  assert.deepEqual(await stateOf('identity_int8'), { name: 'identity_int8', version: '1', state: 'UNAVAILABLE', reason: 'not loaded' });
  assert.equal((await ask(`${url}/v2/models/identity_int8/ready`)).status, 400);
  await ask(`${url}/v2/repository/models/identity_int8/load`, 'POST', '{}');
  assert.equal((await stateOf('identity_int8')).state, 'READY');
  assert.deepEqual((await ask(`${url}/v2/repository/index`, 'POST', '{"ready":true}')).json.map(({ name }: { name: string }) => name), ['identity_int8']);
  assert.deepEqual(await ask(`${url}/v2/repository/models/identity_int8/unload`, 'POST', '{"parameters":{"unload_dependents":true}}'), { status: 200, json: {} });
  assert.notEqual((await stateOf('identity_int8')).state, 'READY');
  assert.equal((await ask(`${url}/v2/repository/models/nope/unload`, 'POST')).status, 200, 'what does not exist is not loaded');
  assert.equal((await ask(`${url}/v2/models/nope/ready`)).status, 400);
  for (const parameters of ['{"config":"{}"}', '{"file:1/model.onnx":"AAAA"}']) {
    assert.equal((await ask(`${url}/v2/repository/models/identity_int8/load`, 'POST', `{"parameters":${parameters}}`)).status, 400);
  }
});

test('integers beyond 2^53 keep every digit, whatever stands around them', async (t) => {
  const { url } = await serveKserve(t);
  const digits = ['9223372036854775807', '-9223372036854775808', '9007199254740993', '-1', '1000000000000000000'];
  const id = 'tricky \\" [12345678901234567890] \u00fc';
  const json = `{"id":${JSON.stringify(id)},"inputs":[{"name":"b","shape":[5],"datatype":"INT64","data":[${digits.join(', ')}]},
    {"name":"a","shape":[3],"datatype":"FP32","data":[12345678901234567890, 0.12345678901234567, 1e-1]}],"outputs":[{"name":"y"},{"name":"x"}]}`;
  const answer = await fetch(`${url}/v2/models/two/infer`, { method: 'POST', body: json });
  const text = await answer.text();
  assert.ok(text.includes(`"data":[${digits.join(',')}]`), text);
  const parsed = JSON.parse(text) as { id: string; outputs: { data: number[] }[] };
  assert.equal(parsed.id, id);
  assert.deepEqual(parsed.outputs[1]!.data.map(Math.fround), [12345678901234567890, 0.12345678901234567, 0.1].map(Math.fround));
  const refused = await infer(url, 'identity_int64', '{"inputs":[{"name":"input","shape":[1],"datatype":"INT64","data":[9223372036854775808]}]}');
  assert.equal(refused.status, 400);
});

test('a tensor is read wherever those before it end', async (t) => {
  const { url } = await serveKserve(t);
  for (const floats of [[1.5], [1.5, 2.5], [1.5, 2.5, 3.5]]) {
    const { body, headerBytes } = inferBody([
      { name: 'a', shape: [floats.length], datatype: 'FP32', bytes: new Uint8Array(Float32Array.from(floats).buffer) },
      { name: 'b', shape: [2], datatype: 'INT64', bytes: new Uint8Array(BigInt64Array.of(7n, -8n).buffer) },
    ]);
    const { json } = await infer(url, 'two', body, { 'inference-header-content-length': String(headerBytes) });
    const data = Object.fromEntries(json.outputs.map((output: { name: string; data: number[] }) => [output.name, output.data]));
    assert.deepEqual(data, { x: floats, y: [7, -8] });
  }
});

test('a body without a header is the only input, and its length tells the shape', async (t) => {
  const { url } = await serveKserve(t);
  const raw = { 'inference-header-content-length': '0' };
  const answer = await infer(url, 'identity_float32', new Uint8Array(Float32Array.of(1, 2, 3).buffer), raw);
  assert.deepEqual([answer.json.outputs[0].shape, answer.binary.readFloatLE(8)], [[3], 3]);
  assert.deepEqual((await infer(url, 'batching', new Uint8Array(32), raw)).json.outputs[0].shape, [2, 4]);
  assert.deepEqual((await infer(url, 'identity_string', 'text', raw)).binary.toString('latin1'), '\x04\0\0\0text');
  assert.deepEqual((await infer(url, 'org/held', 'text', raw)).json.outputs[0].shape[0], 1);
  assert.equal((await infer(url, 'identity_float32', new Uint8Array(10), raw)).status, 400);
  assert.equal((await infer(url, 'two', new Uint8Array(8), raw)).status, 400);
});

test('statistics count items, runs and nanoseconds', async (t) => {
  const { url } = await serveKserve(t);
  const { body } = inferBody([{ shape: [2, 4], datatype: 'FP32', data: new Array<number>(8).fill(1) }]);
  await Promise.all([infer(url, 'batching', body), infer(url, 'batching', body), infer(url, 'batching', '{"inputs":[]}')]);
  const [stats] = (await ask(`${url}/v2/models/batching/stats`)).json.model_stats;
  assert.deepEqual([stats.inference_count, stats.execution_count, stats.inference_stats.success.count, stats.inference_stats.fail.count], [4, 1, 2, 1]);
  assert.deepEqual(stats.batch_stats.map(({ batch_size: size }: { batch_size: number }) => size), [4]);
  const { success, queue, compute_infer: compute } = stats.inference_stats;
  assert.ok(success.ns >= queue.ns + compute.ns && compute.ns > 0 && Number.isInteger(success.ns));
  assert.ok(Math.abs(Date.now() - stats.last_inference) < 60_000);
});

const textBody = (texts: readonly string[], parameters: object = {}) => {
  return inferBody([{ name: 'text', shape: [texts.length], datatype: 'BYTES', data: texts }], { parameters }).body;
};

test('embedding requests that share a run count it once, and their texts each', async (t) => {
  const { url, backend, model } = await serveKserve(t);
  backend.flowing = false;
  const first = infer(url, 'org/held', textBody(['first']));
  await until(() => backend.running.length === 1, 'it runs');
  const both = [['one', 'two'], ['six']].map((texts) => infer(url, 'org/held', textBody(texts)));
  await until(() => model.gauges.queuedInputs === 3, 'both wait');
  for (let i = 0; i < 2; i++) {
    await until(() => backend.running.length === 1, 'a batch runs');
    backend.running[0]!.release();
  }
  await Promise.all([first, ...both]);
  const [stats] = (await ask(`${url}/v2/models/org/held/stats`)).json.model_stats;
  assert.deepEqual([stats.inference_count, stats.execution_count, stats.inference_stats.success.count], [4, 2, 3]);
  assert.deepEqual(stats.batch_stats.map((each: any) => [each.batch_size, each.compute_infer.count]), [[1, 1], [3, 1]]);
});

test('a timeout bounds the wait of an embedding request, too', async (t) => {
  const { url, backend } = await serveKserve(t);
  backend.flowing = false;
  const first = infer(url, 'org/held', textBody(['first'], { timeout: 10_000_000 }));
  await until(() => backend.running.length === 1, 'it runs');
  const late = await infer(url, 'org/held', textBody(['late'], { timeout: 1_000 }));
  assert.deepEqual([late.status, late.json.error], [504, 'The request waited longer than its timeout allows.']);
  const patient = [0, Number.MAX_SAFE_INTEGER].map((timeout) => infer(url, 'org/held', textBody(['patient'], { timeout, priority: 1 })));
  backend.flowing = true;
  backend.running[0]!.release();
  assert.deepEqual((await Promise.all([first, ...patient])).map(({ status }) => status), [200, 200, 200]);
  assert.ok(!backend.ran.includes('late'));
  for (const timeout of [-1, 1.5, '1']) {
    const refused = await infer(url, 'org/held', textBody(['a'], { timeout }));
    assert.deepEqual([refused.status, refused.json.error], [400, "'parameters.timeout' must be a non-negative integer."]);
  }
});

test('an answer is compressed only for a client that asks for that one encoding', async (t) => {
  const { url } = await serveKserve(t);
  const { body } = inferBody([{ shape: [3], datatype: 'FP32', data: [1, 2, 3] }]);
  for (const [accept, encoding] of [['gzip', 'gzip'], ['deflate', 'deflate'], ['gzip, deflate, br', null], ['*', null]]) {
    const answer = await infer(url, 'identity_float32', body, { 'accept-encoding': accept! });
    assert.deepEqual([answer.headers.get('content-encoding'), answer.json.outputs[0].data], [encoding, [1, 2, 3]]);
  }
});

test('a version that came into the folder is found, and a load takes it', async (t) => {
  const { url, directory } = await serveKserve(t);
  const folder = path.join(directory, 'versions');
  const { body } = inferBody([{ shape: [1, 2], datatype: 'FP32', data: [1, 2] }]);
  assert.equal((await infer(url, 'versions/versions/2', body)).status, 200);
  cpSync(path.join(folder, '2'), path.join(folder, '3'), { recursive: true });
  assert.equal((await infer(url, 'versions/versions/3', body)).json.model_version, '3');
  cpSync(path.join(folder, '2'), path.join(folder, '4'), { recursive: true });
  assert.equal((await fetch(`${url}/v2/repository/models/versions/load`, { method: 'POST' })).status, 200);
  assert.equal((await fetch(`${url}/v2/models/versions/versions/4/ready`)).status, 200);
  assert.equal((await infer(url, 'versions', body)).json.model_version, '4');
});
