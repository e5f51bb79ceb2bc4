// The service of versioned tensor models by its own description: every endpoint, field, command and option that its
// text names.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { skipUnless, tinyBertDirectory } from '../support/fixtures.ts';
import { description, descriptionsDirectory, found, needsCurl, runPrinted, send } from '../support/printed-commands.ts';
import { startServerProcess } from '../support/server-process.ts';
import { demoDirectory, scene, sensors } from '../support/tensor-models.ts';

const tiny = { MODEL_PATH: tinyBertDirectory };

const endpoints = [
  'GET /', 'GET /health', 'GET /stats',
  'GET /models', 'GET /models/{version}', 'GET /models/{version}/stats', 'POST /models/{version}/load', 'POST /models/{version}/unload',
  'POST /models/{version}/inference', 'POST /models/{version}/inference/batch', 'POST /models/compare', 'GET /inference/history',
  'POST /models/upload', 'GET /models/{version}/download',
];

const options = ['MODEL_DIR', 'MONGODB_URL', 'REDIS_URL', 'DEVICE'];

const commands = {
  load: 'curl -X POST http://localhost:8001/models/1.0/load',
  inference: `curl -X POST http://localhost:8001/models/1.0/inference \\
  -H "Content-Type: application/json" \\
  -d '{
    "version": "1.0",
    "image": [[[0.5, 0.5, 0.5]]],
    "compression_level": 0.8,
    "target_quality": 0.8
  }'`,
  compare: `curl -X POST http://localhost:8001/models/compare \\
  -H "Content-Type: application/json" \\
  -d '{
    "versions": ["1.0", "1.1"],
    "test_data": {
      "version": "1.0",
      "compression_level": 0.8
    },
    "metrics": ["compression_ratio", "quality", "latency"]
  }'`,
  health: 'curl http://localhost:8001/health',
  models: 'curl http://localhost:8001/models',
  stats: 'curl http://localhost:8001/stats',
};

/** The fields of the text's request and answer. */
const requestFields = ['version', 'image', 'lidar', 'imu', 'audio', 'compression_level', 'target_quality', 'return_reconstruction', 'return_metrics'];
const answerFields = ['version', 'compressed', 'temporal_out', 'predicted', 'reconstructed_image', 'metrics', 'compression_ratio', 'inference_time_ms', 'timestamp'];
const metricFields = ['compression_ratio', 'predicted_quality', 'adjusted_compression'];

const request = {
  version: '1.0', image: scene(24, 32), ...sensors(), compression_level: 0.8, target_quality: 0.8,
  return_reconstruction: false, return_metrics: true,
};

test('this suite leaves out no endpoint, field, option or command of the text', { skip: skipUnless(descriptionsDirectory) }, () => {
  const text = description('003');
  assert.deepEqual(new Set(found(text, /^- `((?:GET|POST) \/[^`]*)`/gm)), new Set(endpoints));
  assert.deepEqual(found(text, /^- `([A-Z_]+)` - /gm), options);
  for (const command of Object.values(commands)) assert.ok(text.includes(command), command);
  const [asked, answered] = found(text, /```json\n([\s\S]*?)```/g).map((json) => found(json, /^ +"(\w+)":/gm));
  assert.deepEqual(asked, requestFields);
  assert.deepEqual(new Set(answered), new Set([...answerFields, ...metricFields]));
  assert.deepEqual(Object.keys(request), requestFields);
});

test('the endpoints answer as the text says', { skip: needsCurl() }, async (t) => {
  const server = await startServerProcess(t, tiny);
  const isShaped = (value: unknown, depth: number): boolean => {
    return depth === 0 ? typeof value === 'number' : Array.isArray(value) && value.length > 0 && value.every((part) => isShaped(part, depth - 1));
  };

  await t.test('GET /: service information', async () => {
    const { body } = await send(server, 'GET /');
    assert.ok(body.service === 'ortserve' && body.status === 'running' && /^\d+\.\d+\.\d+$/.test(body.version));
  });

  await t.test('GET /health: system and model health', async () => {
    const body = await runPrinted(commands.health, server);
    assert.equal(body.status, 'healthy');
    assert.deepEqual(body.tensor_models.map(({ version, state }: Record<string, string>) => [version, state]), [['1.0', 'absent'], ['1.1', 'absent']]);
    assert.ok(body.memory.rss_bytes > 0 && body.uptime_seconds >= 0);
  });

  await t.test('GET /models: all models, loaded and available', async () => {
    const { models, count } = await runPrinted(commands.models, server);
    assert.equal(count, 3);
    assert.deepEqual(models.slice(0, 2).map((row: Record<string, unknown>) => [row['version'], row['loaded']]), [['1.0', false], ['1.1', false]]);
  });

  await t.test('POST /models/{version}/load: load a model', async () => {
    const body = await runPrinted(commands.load, server);
    assert.deepEqual([body.version, body.status, body.loaded, body.device], ['1.0', 'ready', true, 'cpu']);
  });

  await t.test('GET /models/{version}: model information', async () => {
    const { body } = await send(server, 'GET /models/1.0');
    const names = (rows: { name: string }[]) => rows.map(({ name }) => name);
    assert.deepEqual(names(body.inputs), ['image', 'lidar', 'imu', 'audio', 'compression_level', 'target_quality']);
    assert.deepEqual(names(body.outputs), ['compressed', 'temporal_out', 'predicted', 'reconstructed_image', ...metricFields]);
  });

  await t.test('POST /models/{version}/inference: the printed request', async () => {
    const body = await runPrinted(commands.inference, server);
    assert.equal(body.version, '1.0');
    for (const field of ['compressed', 'temporal_out', 'predicted']) assert.ok(isShaped(body[field], 2), field);
    assert.deepEqual(Object.keys(body.metrics), metricFields);
  });

  await t.test('its answer has the printed fields, in their shapes', async () => {
    const { status, body } = await send(server, 'POST /models/1.0/inference', { ...request, return_reconstruction: true });
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(body), answerFields);
    for (const field of ['compressed', 'temporal_out', 'predicted']) assert.ok(isShaped(body[field], 2), field);
    assert.ok(isShaped(body.reconstructed_image, 3));
    assert.deepEqual([body.reconstructed_image.length, body.reconstructed_image[0].length, body.reconstructed_image[0][0].length], [24, 32, 3]);
    assert.ok(metricFields.every((field) => Number.isFinite(body.metrics[field])));
    assert.equal(body.compression_ratio, body.metrics.compression_ratio);
    assert.ok(body.compression_ratio > 1 && body.inference_time_ms > 0);
    assert.match(body.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?$/);
  });

  await t.test('its optional fields may be absent, and its flags choose what comes back', async () => {
    for (const field of requestFields) {
      const { [field as keyof typeof request]: _left, ...rest } = request;
      assert.equal((await send(server, 'POST /models/1.0/inference', rest)).status, 200, `without ${field}`);
    }
    const { body } = await send(server, 'POST /models/1.0/inference', { return_metrics: false });
    assert.ok(!('metrics' in body) && !('reconstructed_image' in body));
  });

  await t.test('its input is checked: shape, range, type, version', async () => {
    const bad: [field: string, value: unknown][] = [
      ['image', [[[0.5, 0.5]]]], ['image', [[[0.5, 0.5, 0.5]], [[1]]]], ['image', 'x'], ['lidar', [['a']]], ['imu', [1, 2, 3]],
      ['audio', [1]], ['compression_level', 0.05], ['compression_level', 1.5], ['target_quality', -1], ['target_quality', '1'],
      ['return_reconstruction', 'yes'], ['return_metrics', 1], ['version', '1.1'],
    ];
    for (const [field, value] of bad) {
      const { status, body } = await send(server, 'POST /models/1.0/inference', { ...request, [field]: value });
      assert.deepEqual([status, body.extra?.[0].key.split('[')[0]], [400, field], JSON.stringify([field, value]));
      assert.ok(!/\/|\.ts|node_modules/.test(body.detail.replaceAll('and/or', '')), body.detail);
    }
    assert.equal((await send(server, 'POST /models/9.9/inference', request)).status, 404);
  });

  await t.test('POST /models/{version}/inference/batch: up to 100 items', async () => {
    const items = Array.from({ length: 100 }, (_, i) => ({ imu: [i, 0, 0, 0, 0, 0] }));
    const { status, body } = await send(server, 'POST /models/1.0/inference/batch', { requests: items });
    assert.deepEqual([status, body.count, body.succeeded, body.failed], [200, 100, 100, 0]);
    const alone = await send(server, 'POST /models/1.0/inference', items[42]);
    assert.deepEqual(body.results[42].compressed, alone.body.compressed);
    assert.equal((await send(server, 'POST /models/1.0/inference/batch', { requests: [...items, {}] })).status, 400);
  });

  await t.test('POST /models/compare: the printed request', async () => {
    const body = await runPrinted(commands.compare, server);
    assert.deepEqual(body.versions, ['1.0', '1.1']);
    assert.deepEqual(body.comparison.map(({ metric }: { metric: string }) => metric), ['compression_ratio', 'quality', 'latency']);
    for (const row of body.results) assert.ok(row.compression_ratio >= 1 && row.latency.p50_ms <= row.latency.p95_ms);
  });

  await t.test('GET /models/{version}/stats and GET /stats: statistics', async () => {
    const { body } = await send(server, 'GET /models/1.0/stats');
    assert.ok(body.requests > 100 && body.failures > 0 && body.inference_time_ms.p95 >= body.inference_time_ms.p50);
    assert.ok(metricFields.every((field) => Number.isFinite(body.metrics[field])));
    const totals = await runPrinted(commands.stats, server);
    assert.ok(totals.total_requests > 20 && totals.total_errors > 0 && totals.uptime_seconds > 0);
  });

  await t.test('GET /inference/history: all inference requests', async () => {
    await sleep(400);
    const { body } = await send(server, 'GET /inference/history?limit=1');
    const { requests } = (await send(server, 'GET /models/1.0/stats')).body;
    // The comparison's own runs are none that somebody asked for.
    assert.ok(body.total > 100 && body.total <= requests);
    assert.equal(body.history.length, 1);
    const { body: failed } = await send(server, 'GET /inference/history?status=error&version=1.0');
    assert.ok(failed.total >= 13 && failed.history.every(({ error_code }: { error_code: string }) => error_code === 'REQUEST_INVALID'));
  });

  await t.test('POST /models/{version}/unload: unload a model', async () => {
    const { body } = await send(server, 'POST /models/1.0/unload');
    assert.deepEqual([body.version, body.status, body.loaded, body.unloaded], ['1.0', 'absent', false, true]);
    assert.equal((await send(server, 'POST /models/9.9/unload')).status, 404);
  });

  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('POST /models/upload and GET /models/{version}/download: files in and out', { skip: needsCurl() }, async (t) => {
  const directory = folderOf(t);
  const server = await startServerProcess(t, { ...tiny, MODEL_DIR: directory, ALLOW_UPLOAD: 'true' });
  const demo = path.join(demoDirectory, 'compressor/1.1');
  const upload = (fields: string) => runPrinted(`curl -X POST http://localhost:8001/models/upload ${fields}`, server);

  await t.test('an uploaded model is listed and answers', async () => {
    const body = await upload(`-F "version=2.0" -F "file=@${demo}/model.onnx" -F "manifest=<${demo}/manifest.json"`);
    assert.deepEqual([body.version, body.name], ['2.0', '2.0'], JSON.stringify(body));
    const { models } = await runPrinted(commands.models, server);
    assert.ok(models.some(({ version }: { version: string }) => version === '2.0'));
    const answered = await send(server, 'POST /models/2.0/inference', { ...request, version: '2.0' });
    assert.deepEqual([answered.status, answered.body.version], [200, '2.0']);
  });

  await t.test('the file comes back as it was', async () => {
    const file = path.join(folderOf(t), 'downloaded.onnx');
    execFileSync('curl', ['-sS', '--fail', '-o', file, `${server.url}/models/2.0/download`]);
    assert.ok(readFileSync(file).equals(readFileSync(path.join(demo, 'model.onnx'))));
    assert.equal((await send(server, 'GET /models/9.9/download')).status, 404);
  });

  await t.test('File upload validation: what is no model, has no version or is there already is refused', async () => {
    const refused = [
      await upload(`-F "version=3.0" -F "file=@${demo}/manifest.json"`),
      await upload(`-F "file=@${demo}/model.onnx"`),
      await upload(`-F "version=2.0" -F "file=@${demo}/model.onnx"`),
      await upload('-F "version=3.0"'),
    ];
    for (const body of refused) assert.ok(typeof body.detail === 'string' && !body.detail.includes(directory), JSON.stringify(body));
    assert.deepEqual(readdirSync(directory), ['2.0']);
  });
});

test('MODEL_DIR, and databases that are away: the service degrades and answers', async (t) => {
  const directory = folderOf(t);
  // A version alone, as the service kept its models.
  cpSync(path.join(demoDirectory, 'compressor/1.1/model.onnx'), path.join(directory, '2.0.onnx'));
  cpSync(path.join(demoDirectory, 'compressor/1.0'), path.join(directory, 'fusion/1.0'), { recursive: true });
  const away = { MONGODB_URL: 'mongodb://127.0.0.1:9/models', REDIS_URL: 'redis://127.0.0.1:9' };
  const server = await startServerProcess(t, { ...tiny, ...away, MODEL_DIR: directory, DEVICE: 'cpu' });
  const { models } = (await send(server, 'GET /models')).body;
  assert.deepEqual(models.slice(0, 2).map((row: Record<string, unknown>) => row['version']), ['2.0', '1.0']);
  assert.equal((await send(server, 'POST /models/1.0/inference', request)).status, 200);
  assert.equal((await send(server, 'GET /health')).status, 200);
  while (!server.lines.some(({ level, msg }) => level === 'warn' && msg === 'Redis is not available')) await sleep(20);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('DEVICE: cuda and mps are taken, and where there is none the CPU serves and the log says so', async (t) => {
  for (const device of ['cuda', 'mps']) {
    const server = await startServerProcess(t, { ...tiny, DEVICE: device });
    assert.equal((await send(server, 'POST /models/1.0/load')).body.status, 'ready', device);
    assert.equal((await send(server, 'POST /models/1.0/inference', request)).status, 200, device);
  }
});

function folderOf(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-models-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
