// The FastEmbed-style service by its own description: every command, endpoint and option that its text names.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newFolder, tinyFiles } from '../hub/support.ts';
import { skipUnless, tinyBertDirectory } from '../support/fixtures.ts';
import { HubServer } from '../support/hub-server.ts';
import { description, descriptionsDirectory, found, needsCurl, runPrinted, send } from '../support/printed-commands.ts';
import { startServerProcess } from '../support/server-process.ts';

const model = 'BAAI/bge-small-en-v1.5';
const tiny = { MODEL_PATH: tinyBertDirectory, MODEL_NAME: model };

/** With the defaults that the text names. */
const options = {
  HOST: '0.0.0.0', PORT: '0', DEBUG: 'false', LOG_LEVEL: 'INFO', THREAD_POOL_WORKERS: '4', MAX_TEXT_LENGTH: '8192',
  MAX_BATCH_SIZE: '32', REQUEST_TIMEOUT: '300', MODEL_CACHE_TTL: '3600', MAX_CACHED_MODELS: '5', CLEANUP_INTERVAL: '60',
  ALLOWED_MODELS: '', ENABLE_CORS: 'true', CORS_ORIGINS: '*', ENABLE_RATE_LIMIT: 'false', RATE_LIMIT_REQUESTS: '60',
  MAX_REQUEST_SIZE: '10MB', ENABLE_METRICS: 'true',
};

const endpoints = ['/embed', '/embed/batch', '/health', '/models', '/models/{name}', '/metrics'];

const commands = {
  health: 'curl http://localhost:8000/health',
  embed: `curl -X POST http://localhost:8000/embed \\
  -H "Content-Type: application/json" \\
  -d '{"model_name":"BAAI/bge-small-en-v1.5","text":"Hello"}'`,
  batch: `curl -X POST http://localhost:8000/embed/batch \\
  -H "Content-Type: application/json" \\
  -d '{"model_name":"BAAI/bge-small-en-v1.5","texts":["Hello","World"]}'`,
  metrics: 'curl http://localhost:8000/metrics',
};

test('this suite leaves out no endpoint, option or command of the text', { skip: skipUnless(descriptionsDirectory) }, () => {
  const text = description('001');
  assert.deepEqual(found(text, /^\| `(\/[^`]*)` \|/gm), endpoints);
  assert.deepEqual(new Set(found(text, /^- `([A-Z_]+)` - /gm)), new Set(Object.keys(options)));
  for (const command of Object.values(commands)) assert.ok(text.includes(command), command);
});

test('the endpoints answer as the text says', { skip: needsCurl() }, async (t) => {
  const server = await startServerProcess(t, { ...options, ...tiny });

  await t.test('POST /embed: single text embedding, with its processing time', async () => {
    const body = await runPrinted(commands.embed, server);
    assert.equal(body.model_name, model);
    assert.deepEqual([body.embedding.length, body.dimension], [16, 16]);
    assert.ok(body.embedding.every(Number.isFinite) && body.processing_time > 0);
  });

  await t.test('POST /embed/batch: as many vectors as texts, each the one that its text alone has', async () => {
    const body = await runPrinted(commands.batch, server);
    assert.deepEqual([body.embeddings.length, body.count, body.dimension, body.model_name], [2, 2, 16, model]);
    assert.deepEqual(body.embeddings[0], (await runPrinted(commands.embed, server)).embedding);
    assert.notDeepEqual(body.embeddings[0], body.embeddings[1]);
  });

  await t.test('GET /health: health check and cache info', async () => {
    const body = await runPrinted(commands.health, server);
    assert.equal(body.status, 'healthy');
    assert.deepEqual(body.model_cache, { loaded: 1, max: 5, evictions: 0, idle_seconds_max: 3600 });
    assert.deepEqual([body.models[0].name, body.models[0].state], [model, 'ready']);
  });

  await t.test('GET /models: what there is', async () => {
    const { body } = await send(server, 'GET /models');
    const row = body.models.find(({ name }: { name: string }) => name === model);
    assert.deepEqual([row.model_name, row.loaded, row.dimension], [model, true, 16]);
  });

  await t.test('GET /models/{name}: model metadata, the slash of its name raw or encoded', async () => {
    for (const name of [model, encodeURIComponent(model), 'bge-small-en-v1.5']) {
      const { status, body } = await send(server, `GET /models/${name}`);
      assert.equal(status, 200, name);
      assert.deepEqual([body.model_name, body.max_length, body.pooling, body.status], [model, 32, ['mean'], 'ready']);
      assert.ok(body.uses >= 3 && body.size_bytes > 0);
    }
    assert.equal((await send(server, 'GET /models/BAAI/none')).status, 404);
  });

  await t.test('GET /metrics: requests, embeddings, uptime and model usage, as JSON or for Prometheus', async () => {
    const { body } = await send(server, 'GET /metrics', undefined, { accept: 'application/json' });
    assert.ok(body.total_requests >= 3 && body.uptime_seconds > 0 && body.total_errors >= 1);
    assert.deepEqual([body.total_embeddings, body.model_usage], [4, { [model]: 4 }]);
    const printed = commands.metrics.replace('curl ', 'curl -H "Accept: application/json" ');
    assert.equal((await runPrinted(printed, server)).total_embeddings, 4);
    assert.match((await send(server, 'GET /metrics')).body.text, /^ortserve_requests_total\{/m);
  });

  await t.test('input is checked, and errors name the field', async () => {
    const bad: [body: unknown, field: string | undefined][] = [
      [{ model_name: model }, 'text'], [{ text: 'a' }, 'model_name'], [{ model_name: model, text: '' }, 'text'],
      [{ model_name: model, text: 7 }, 'text'], [{ model_name: 'x', text: 'a' }, 'model_name'], ['{', undefined], ['[]', undefined],
    ];
    for (const [body, field] of bad) {
      const answer = await send(server, 'POST /embed', body);
      assert.ok(answer.status === 400 || answer.status === 404, JSON.stringify(body));
      assert.equal(answer.body.extra?.[0].key, field);
    }
    const { status, body } = await send(server, 'POST /embed/batch', { model_name: model, texts: ['a', '', 'b'] });
    assert.deepEqual([status, body.extra[0].key], [400, 'texts[1]']);
  });

  assert.equal(server.lines.find(({ msg }) => msg === 'model ready')!['workers'], 4);
  assert.ok(server.lines.some(({ msg, host }) => msg === 'listening' && host === '0.0.0.0'));
  assert.ok(!server.lines.some(({ level }) => level === 'debug'));
  const origin = await send(server, 'GET /health', undefined, { origin: 'https://any.example' });
  assert.equal(origin.headers.get('access-control-allow-origin'), '*');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('MAX_TEXT_LENGTH, MAX_BATCH_SIZE, MAX_REQUEST_SIZE, CORS_ORIGINS, DEBUG and THREAD_POOL_WORKERS bound what they name', async (t) => {
  const server = await startServerProcess(t, {
    ...tiny, MAX_TEXT_LENGTH: '5', MAX_BATCH_SIZE: '2', MAX_REQUEST_SIZE: '1KB', CORS_ORIGINS: 'https://app.example',
    DEBUG: 'true', THREAD_POOL_WORKERS: '1',
  });
  const status = async (line: string, body: unknown) => (await send(server, line, body)).status;
  assert.equal(await status('POST /embed', { model_name: model, text: 'abcde' }), 200);
  assert.equal(await status('POST /embed', { model_name: model, text: 'abcdef' }), 400);
  assert.equal(await status('POST /embed/batch', { model_name: model, texts: ['a', 'b'] }), 200);
  assert.equal(await status('POST /embed/batch', { model_name: model, texts: ['a', 'b', 'c'] }), 400);
  assert.equal(await status('POST /embed', { model_name: model, text: 'a'.repeat(1024) }), 413);
  const allowed = async (origin: string) => (await send(server, 'GET /health', undefined, { origin })).headers.get('access-control-allow-origin');
  assert.equal(await allowed('https://app.example'), 'https://app.example');
  assert.notEqual(await allowed('https://other.example'), 'https://other.example');
  assert.equal(server.lines.find(({ msg }) => msg === 'model ready')!['workers'], 1);
  assert.ok(server.lines.some(({ level }) => level === 'debug'));
});

test('ALLOWED_MODELS, ENABLE_RATE_LIMIT, RATE_LIMIT_REQUESTS, ENABLE_CORS, ENABLE_METRICS and LOG_LEVEL do what they say', async (t) => {
  const server = await startServerProcess(t, {
    ...tiny, ALLOWED_MODELS: model, ENABLE_RATE_LIMIT: 'true', RATE_LIMIT_REQUESTS: '3', ENABLE_CORS: 'false',
    ENABLE_METRICS: 'false', LOG_LEVEL: 'INFO',
  });
  const embed = (name: string) => send(server, 'POST /embed', { model_name: name, text: 'a' }, { origin: 'https://app.example' });
  const allowed = await embed(model);
  assert.deepEqual([allowed.status, allowed.headers.get('access-control-allow-origin')], [200, null]);
  assert.equal((await embed('BAAI/other')).status, 403);
  assert.equal((await embed(model)).status, 200);
  const refused = await embed(model);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  // Probes are never refused.
  for (let i = 0; i < 5; i++) assert.equal((await send(server, 'GET /health')).status, 200);
  assert.equal((await send(server, 'GET /metrics')).status, 404);
  assert.ok(server.lines.every(({ level }) => level !== 'debug' && level !== 'trace'));
});

test('REQUEST_TIMEOUT keeps a request from hanging, and the next one is answered', async (t) => {
  const server = await startServerProcess(t, { REQUEST_TIMEOUT: '0.1', THREAD_POOL_WORKERS: '1', MAX_BATCH_SIZE: '128' });
  const embed = (texts: string[]) => send(server, 'POST /embed/batch', { model_name: 'all-MiniLM-L6-v2', texts });
  const { status, body } = await embed(Array.from({ length: 128 }, (_, i) => `word${i} `.repeat(1000)));
  assert.deepEqual([status, body.code], [504, 'TIMEOUT']);
  while ((await embed(['a'])).status !== 200) await sleep(50);
});

test('models of the start are checked and warmed up; MAX_CACHED_MODELS, MODEL_CACHE_TTL and CLEANUP_INTERVAL let them leave', async (t) => {
  const names = ['org/first', 'org/second', 'org/third'];
  const hub = await HubServer.start(t, Object.fromEntries(names.map((name) => [name, { files: tinyFiles }])));
  const server = await startServerProcess(t, {
    MODELS: names.join(','), MAX_CACHED_MODELS: '2', ENABLE_EMBEDDING_CACHE: 'false', MODEL_CACHE_TTL: '1', CLEANUP_INTERVAL: '0.1', HF_ENDPOINT: hub.url, HF_HOME: newFolder(t),
  });
  const loaded = async () => {
    const { body } = await send(server, 'GET /models');
    return body.models.filter((row: Record<string, unknown>) => row['type'] === 'embedding' && row['loaded'] === true).length as number;
  };
  assert.ok(server.lines.filter(({ msg }) => msg === 'model ready').length >= 3);
  for (const name of [...names, ...names]) {
    assert.equal((await send(server, 'POST /embed', { model_name: name, text: 'a' })).status, 200);
    assert.ok((await loaded()) <= 2);
  }
  while ((await loaded()) > 0) await sleep(50);
  const { model_cache: cache } = (await send(server, 'GET /health')).body;
  assert.ok(cache.loaded === 0 && cache.evictions >= 3);
  const reasons = new Set(server.lines.filter(({ msg }) => msg === 'model leaves').map(({ reason }) => reason));
  assert.deepEqual(reasons, new Set(['lru', 'ttl']));
  assert.equal((await send(server, 'POST /embed', { model_name: names[0], text: 'a' })).status, 200);
});
