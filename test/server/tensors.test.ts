// The tensor service on the real server: the calls of its own description (seed 003), its demo models, its history.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';

const image = Array.from({ length: 16 }, (_, y) => Array.from({ length: 24 }, (_, x) => [x / 24, y / 16, 0.5]));

async function call(server: ServerProcess, method: string, path: string, body?: unknown) {
  const answer = await fetch(server.url + path, { method, ...(body !== undefined && { body: JSON.stringify(body) }) });
  return { status: answer.status, body: (await answer.json()) as Record<string, any> };
}

test('the tensor service works as it describes itself', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory });

  await t.test('GET /models lists tensor and embedding models', async () => {
    const { body } = await call(server, 'GET', '/models');
    const names = body.models.map((row: { version: string | null; name: string }) => row.version ?? row.name);
    assert.deepEqual(names, ['1.0', '1.1', 'tiny-bert']);
  });

  await t.test('a model is found by version, and an embedding model by name', async () => {
    assert.equal((await call(server, 'GET', '/models/1.0')).body.version, '1.0');
    assert.equal((await call(server, 'GET', '/models/tiny-bert')).body.dimension, 16);
    assert.equal((await call(server, 'GET', '/models/nope')).status, 404);
    assert.equal((await call(server, 'GET', '/models/org%2Fnope')).status, 404);
  });

  await t.test('POST /models/1.0/load, then inference with the documented fields', async () => {
    assert.equal((await call(server, 'POST', '/models/1.0/load')).status, 200);
    const { status, body } = await call(server, 'POST', '/models/1.0/inference', {
      version: '1.0',
      image,
      imu: [0, 0, 0, 0, 0, 0],
      compression_level: 0.8,
      target_quality: 0.8,
      return_reconstruction: true,
      return_metrics: true,
    });
    assert.equal(status, 200);
    for (const field of ['version', 'compressed', 'temporal_out', 'predicted', 'reconstructed_image', 'compression_ratio', 'inference_time_ms', 'timestamp']) {
      assert.ok(field in body, field);
    }
    assert.deepEqual(Object.keys(body.metrics).sort(), ['adjusted_compression', 'compression_ratio', 'predicted_quality']);
    assert.equal(body.reconstructed_image.length, 16);
  });

  await t.test('a bad item of a batch is an error in its place', async () => {
    const requests = [{ image, compression_level: 0.5 }, { image: [[1], [1, 2]] }, { image, compression_level: 0.5 }];
    const { status, body } = await call(server, 'POST', '/models/1.0/inference/batch', { requests });
    assert.equal(status, 200);
    assert.deepEqual(body.results.map((result: object) => 'error' in result), [false, true, false]);
  });

  await t.test('compare says which version is better', async () => {
    const { status, body } = await call(server, 'POST', '/models/compare', {
      versions: ['1.0', '1.1'],
      test_data: { version: '1.0', image, compression_level: 0.8 },
      metrics: ['compression_ratio', 'quality', 'latency'],
      runs: 3,
    });
    assert.equal(status, 200);
    assert.match(JSON.stringify(body), /better|best|winner/);
  });

  await t.test('every inference is in the history, newest first', async () => {
    await sleep(300);
    const { status, body } = await call(server, 'GET', '/inference/history?version=1.0&limit=10');
    assert.equal(status, 200);
    assert.equal(body.total, 4);
    assert.deepEqual(body.history.map((row: { status: string }) => row.status).sort(), ['error', 'success', 'success', 'success']);
    assert.deepEqual(body.history.at(-1).inputs[0], { name: 'image', shape: [16, 24, 3], datatype: null });
    assert.equal((await call(server, 'GET', '/inference/history?limit=x')).status, 400);
  });

  await t.test('stats and unload', async () => {
    assert.equal((await call(server, 'GET', '/models/1.0/stats')).status, 200);
    assert.equal((await call(server, 'POST', '/models/1.0/unload')).status, 200);
    const labels = '{model="compressor",version="1.0"}';
    assert.equal(await server.metric(`ortserve_tensor_model_ready${labels}`), 0);
    // One alone, three of a batch, and those of the comparison, its warm-up and its outputs.
    const requests = await server.metric(`ortserve_tensor_requests_total${labels}`);
    assert.equal(requests, (await call(server, 'GET', '/models/1.0/stats')).body.requests);
    assert.equal(await server.metric('ortserve_tensor_failures_total{model="compressor",version="1.0",code="REQUEST_INVALID"}'), 1);
    assert.equal(await server.metric(`ortserve_tensor_inference_duration_seconds_count${labels}`), requests - 1);
    assert.equal(await server.metric(`ortserve_tensor_queue_duration_seconds_count${labels}`), requests - 1);
    assert.equal(await server.metric(`ortserve_tensor_runs_pending${labels}`), 0);
  });

  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('the history survives a restart', async (t) => {
  const options = { MODEL_PATH: tinyBertDirectory, DATA_DIR: `/tmp/ortserve-history-${process.pid}` };
  t.after(async () => (await import('node:fs')).rmSync(options.DATA_DIR, { recursive: true, force: true }));
  const first = await startServerProcess(t, options);
  assert.equal((await call(first, 'POST', '/models/1.1/inference', { image })).status, 200);
  await first.stop();
  const second = await startServerProcess(t, options);
  assert.equal((await call(second, 'GET', '/inference/history')).body.total, 1);
});

test('on an address that others reach, loading needs a key', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, HOST: '0.0.0.0' });
  assert.equal((await call(server, 'POST', '/models/1.0/load')).status, 403);
  assert.equal((await call(server, 'POST', '/models/1.0/inference', { image })).status, 200);
});
