// Comparing, listing, loading and unloading models (seed 003), and all of it over HTTP.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ServerError } from '../../../src/errors.ts';
import type { OtherModel, OtherModels } from '../../../src/surface/tensors/lifecycle.ts';
import { tensorOperations } from '../../../src/surface/tensors/operations.ts';
import { scene, sensors, tensorModels } from '../../support/tensor-models.ts';
import { serve } from '../../transport/support.ts';
import { client } from './client.ts';

const near = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} instead of ${expected}`);

describe('POST /models/compare', () => {
  test('answers the request in the README', async (t) => {
    const call = client(t);
    const answer = await call('POST /models/compare', {
      versions: ['1.0', '1.1'],
      test_data: { version: '1.0', compression_level: 0.8 },
      metrics: ['compression_ratio', 'quality', 'latency'],
    });
    assert.equal(answer.status, 200);
    const body = answer.json();
    assert.deepEqual(
      body.results.map((row: { version: string }) => row.version),
      ['1.0', '1.1'],
    );
    assert.deepEqual(
      body.comparison.map((row: { metric: string }) => row.metric),
      ['compression_ratio', 'quality', 'latency'],
    );
    // Nothing was given, so nothing differs but the time.
    assert.deepEqual(body.comparison[0], {
      metric: 'compression_ratio',
      better: null,
      equal: ['1.0', '1.1'],
      by: 0,
      by_percent: 0,
    });
    assert.equal(body.results[0].latency.runs, 10);
  });

  test('finds 1.1 better, by how much, and how far apart', async (t) => {
    const call = client(t);
    const test_data = {
      image: scene(64, 64),
      ...sensors(),
      compression_level: 0.5,
      target_quality: 0,
      return_reconstruction: true,
    };
    const body = (
      await call('POST /models/compare', {
        versions: ['1.0', '1.1'],
        test_data,
        metrics: ['compression_ratio', 'quality', 'latency'],
        runs: 3,
      })
    ).json();
    const [ratio, quality, latency] = body.comparison;
    assert.deepEqual([ratio.better, quality.better], ['1.1', '1.1']);
    near(ratio.by, body.results[1].compression_ratio - body.results[0].compression_ratio);
    assert.ok(ratio.by_percent > 15 && ['1.0', '1.1'].includes(latency.better));
    const { outputs } = body.differences[0];
    assert.deepEqual(
      outputs.map(({ output }: { output: string }) => output),
      ['compressed', 'temporal_out', 'predicted', 'reconstructed_image'],
    );
    assert.ok(outputs[3].comparable && outputs[3].max_abs < 0.5 && outputs[3].mean_abs < 0.05);
  });

  test('refuses what makes no comparison', async (t) => {
    const call = client(t);
    const key = async (body: object): Promise<string> => (await call('POST /models/compare', body)).json().extra[0].key;
    const versions = ['1.0', '1.1'];
    assert.equal(await key({ versions: ['1.0'], test_data: {} }), 'versions');
    assert.equal(await key({ versions: ['1.0', '1.0'], test_data: {} }), 'versions[1]');
    assert.equal(await key({ versions: ['1.0', '9'], test_data: {} }), 'versions[1]');
    assert.equal(await key({ versions, test_data: {}, metrics: ['beauty'] }), 'metrics');
    assert.equal(await key({ versions, test_data: {}, runs: 1000 }), 'runs');
    assert.equal(await key({ versions, test_data: { imu: [1] } }), 'imu');
    assert.equal(await key({ versions }), 'test_data');
  });
});

/** One loaded model of another kind; `orders` hears what it is told to do. */
function others(orders: string[]): OtherModels {
  const told = async (order: string): Promise<void> => void orders.push(order);
  const texts: OtherModel = {
    row: () => ({ version: 'x', name: 'org/texts', status: 'ready', loaded: true }),
    load: () => told('load'),
    unload: () => told('unload').then(() => true),
    reload: () => told('reload').then(() => Promise.reject(new ServerError('MODEL_NOT_READY', 'It is broken.'))),
  };
  return { list: () => [texts], find: (name) => (name === 'org/texts' ? texts : undefined) };
}

test('models are listed, told about, loaded and unloaded', async (t) => {
  const orders: string[] = [];
  const call = client(t, { otherModels: others(orders) });
  const list = async () => (await call('GET /models')).json();
  const rows = (await list()).models.map((row: Record<string, unknown>) => [
    row['name'],
    row['version'],
    row['status'],
    row['loaded'],
  ]);
  assert.deepEqual(rows, [
    ['compressor', '1.0', 'absent', false],
    ['compressor', '1.1', 'absent', false],
    ['org/texts', 'x', 'ready', true],
  ]);
  assert.equal((await call('GET /models/1.0')).json().inputs, undefined);
  const loaded = (await call('POST /models/1.0/load')).json();
  assert.deepEqual(
    [loaded.status, loaded.device, loaded.inputs[0]],
    [
      'ready',
      'cpu',
      {
        name: 'image',
        datatype: 'float32',
        shape: ['height', 'width', 3],
        optional: true,
        range: [0, 1],
      },
    ],
  );
  assert.deepEqual((await call('POST /models/1.0/load')).json().loaded_at, loaded.loaded_at);
  const { count, loaded: loadedCount } = await list();
  assert.deepEqual([count, loadedCount], [3, 2]);
  await call('POST /models/1.0/inference', { imu: [0, 0, 1, 0, 0, 0] });
  const stats = (await call('GET /models/1.0/stats')).json();
  assert.deepEqual([stats.requests, stats.failures, stats.loads, stats.inference_time_ms.runs], [1, 0, 1, 1]);
  assert.ok(stats.metrics.compression_ratio > 1);
  // A name is its highest version, and the body's version need not be told.
  assert.equal((await call('POST /models/compressor/inference', {})).json().version, '1.1');
  assert.equal((await call('GET /models/compressor%3A1.0')).json().version, '1.0');
  const unloaded = (await call('POST /models/1.0/unload')).json();
  assert.deepEqual([unloaded.status, unloaded.loaded, unloaded.unloaded], ['absent', false, true]);
  assert.equal((await call('POST /models/1.0/unload')).json().unloaded, false);
  assert.deepEqual((await call('GET /models/9')).status, 404);
  assert.deepEqual(orders, []);
});

test('a tensor model is loaded anew while the old one serves', async (t) => {
  const call = client(t);
  const first = (await call('POST /models/1.0/load')).json();
  const reloads = [1, 2, 3].map(async () => (await call('POST /models/1.0/reload')).json());
  const answers = Array.from({ length: 8 }, () => call('POST /models/1.0/inference', { imu: [0, 0, 1, 0, 0, 0] }));
  for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
  for (const body of await Promise.all(reloads)) assert.ok(body.status === 'ready' && body.loaded_at >= first.loaded_at);
  // All came before the first had begun, so one served them.
  assert.equal((await call('GET /models/1.0/stats')).json().loads, 2);
  assert.deepEqual((await call('POST /models/9/reload')).status, 404);
});

test('a model of another kind takes the same orders, its name with a slash as it is or encoded', async (t) => {
  const orders: string[] = [];
  const { url } = await serve(t, tensorOperations({ models: tensorModels(t), otherModels: others(orders) }));
  const post = async (path: string) => {
    const answer = await fetch(url + path, { method: 'POST' });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  assert.equal((await post('/models/org/texts/load')).body['name'], 'org/texts');
  assert.equal((await post('/models/org%2Ftexts/unload')).body['unloaded'], true);
  const { status, body } = await post('/models/org/texts/reload');
  assert.deepEqual([status, body['detail']], [503, 'It is broken. The loaded model goes on serving.']);
  assert.deepEqual(orders, ['load', 'unload', 'reload']);
  assert.equal((await post('/models/org/nope/load')).status, 404);
  assert.equal((await post('/models/org%2Fnope/reload')).status, 404);
  assert.equal((await (await fetch(`${url}/models/org/texts`)).json() as Record<string, unknown>)['version'], 'x');
});

test("over HTTP, routes of one shape do not take each other's requests", async (t) => {
  const { url } = await serve(t, tensorOperations({ models: tensorModels(t) }));
  const post = async (path: string, body?: unknown): Promise<any> => {
    const init =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    return (await fetch(url + path, { method: 'POST', ...init })).json();
  };
  assert.equal((await post('/models/1.0/load')).status, 'ready');
  assert.equal((await post('/models/compressor%3A1.1/inference', { image: scene(40, 40) })).version, '1.1');
  assert.equal((await post('/models/compare', { versions: ['1.0', '1.1'], test_data: {} })).versions.length, 2);
  assert.equal((await post('/models/1.0/inference/batch', [{}, {}])).succeeded, 2);
  assert.equal(((await (await fetch(`${url}/models`)).json()) as { count: number }).count, 2);
  assert.equal((await post('/models/1.0/unload')).unloaded, true);
});
