// Comparing, listing, loading and unloading models (seed 003), and all of it over HTTP.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
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

test('models are listed, told about, loaded and unloaded', async (t) => {
  const call = client(t, { otherModels: () => [{ version: 'x', name: 'texts', status: 'ready', loaded: true }] });
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
    ['texts', 'x', 'ready', true],
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
