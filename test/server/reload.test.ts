// Models that are loaded anew under load: the old one serves until the new one answers, and goes on when there is none.
import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChatServer } from '../support/chat-server.ts';
import { embeddedModelDirectory, tinyBertDirectory } from '../support/fixtures.ts';
import { steadyLoad } from '../support/steady-load.ts';
import { scene } from '../support/tensor-models.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { until } from '../support/until.ts';

const name = 'org/tiny';
/** A longer look: RELOADS=200. */
const reloads = Number(process.env['RELOADS'] ?? 20);
const requestsPerSecond = 200;

function copyOf(t: TestContext, folder: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-model-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(folder, directory, { recursive: true });
  return directory;
}

async function post(server: ServerProcess, path: string, body?: unknown) {
  const answer = await fetch(server.url + path, { method: 'POST', ...(body !== undefined && { body: JSON.stringify(body) }) });
  return { status: answer.status, retryAfter: answer.headers.get('retry-after'), body: (await answer.json()) as Record<string, any> };
}

const embed = (server: ServerProcess) => post(server, '/embed', { model_name: name, text: 'a b c', encoding_format: 'base64' });

test('an answer that comes after its model was loaded anew is not taken for one of the new model', async (t) => {
  const directory = copyOf(t, tinyBertDirectory);
  const upstream = await ChatServer.start(t);
  const server = await startServerProcess(t, {
    MODEL_PATH: directory, MODEL_NAME: name, UPSTREAM_URL: upstream.url, UPSTREAM_MODEL: 'gpt-test', ENABLE_EMBEDDING_CACHE: 'false',
  });
  const before = post(server, '/query', { query: 'a b c !delay 1000' });
  while (upstream.calls.length === 0) await sleep(5);
  appendFileSync(join(directory, 'tokenizer.json'), '\n');
  assert.equal((await post(server, '/models/org/tiny/reload')).body.status, 'ready');
  assert.equal((await before).status, 200);
  await post(server, '/query', { query: 'd e f' });
  let models: string[] = [];
  await until(async () => {
    const lines = (await (await fetch(`${server.url}/cache/dump`)).text()).trim().split('\n');
    models = lines.map((line) => (JSON.parse(line || '{}') as { model: string }).model);
    return models.length === 2;
  }, 'both answers are kept');
  assert.notEqual(models[0], models[1]);
});

test('an embedding model is unloaded, loaded and loaded anew by its name', async (t) => {
  const directory = copyOf(t, tinyBertDirectory);
  const server = await startServerProcess(t, { MODEL_PATH: directory, MODEL_NAME: name, ENABLE_EMBEDDING_CACHE: 'false' });
  const vector = (await embed(server)).body.embedding;

  const unloaded = await post(server, '/models/org/tiny/unload');
  assert.deepEqual([unloaded.body.status, unloaded.body.unloaded], ['absent', true]);
  assert.equal((await post(server, '/models/org%2Ftiny/unload')).body.unloaded, false);
  // An idle model is no reason to be unready: the next request brings it back.
  assert.equal((await fetch(`${server.url}/readyz`)).status, 200);
  assert.equal((await embed(server)).body.embedding, vector);
  assert.equal((await post(server, '/models/org%2Ftiny/load')).body.status, 'ready');
  assert.equal((await post(server, '/models/org/tiny/reload')).body.status, 'ready');
  assert.equal((await embed(server)).body.embedding, vector);

  // What the folder then holds is what counts: another model altogether.
  rmSync(directory, { recursive: true });
  cpSync(embeddedModelDirectory, directory, { recursive: true });
  assert.equal((await post(server, '/models/org/tiny/reload')).body.dimension, 384);
  assert.equal((await embed(server)).body.dimension, 384);

  assert.equal((await post(server, '/models/org/none/reload')).status, 404);
});

test('a server whose only model failed later is ready again without being asked, once the folder is whole', async (t) => {
  const directory = copyOf(t, tinyBertDirectory);
  const server = await startServerProcess(t, { MODEL_PATH: directory, MODEL_NAME: name, ENABLE_EMBEDDING_CACHE: 'false' });
  const ready = async () => (await fetch(`${server.url}/readyz`)).status;
  await post(server, '/models/org/tiny/unload');
  writeFileSync(join(directory, 'config.json'), '{');
  assert.equal((await embed(server)).status, 503);
  assert.equal(await ready(), 503);
  cpSync(tinyBertDirectory, directory, { recursive: true });
  while ((await ready()) !== 200) await sleep(50);
  assert.equal((await embed(server)).status, 200);
});

test('a reload of a broken folder leaves the old answers as they were', async (t) => {
  const directory = copyOf(t, tinyBertDirectory);
  const server = await startServerProcess(t, { MODEL_PATH: directory, MODEL_NAME: name, ENABLE_EMBEDDING_CACHE: 'false' });
  const vector = (await embed(server)).body.embedding;
  for (const [file, content] of [['onnx/model.onnx', 'no model'], ['config.json', '{'], ['tokenizer.json', '[]']] as const) {
    writeFileSync(join(directory, file), content);
    const { status, body } = await post(server, '/models/org/tiny/reload');
    assert.equal(status, 503, file);
    assert.match(body.detail, /The loaded model goes on serving\.$/);
    assert.ok(!JSON.stringify(body).includes(directory));
    assert.equal((await embed(server)).body.embedding, vector);
  }
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

type Subject = {
  readonly title: string;
  readonly model: string;
  readonly request: { readonly path: string; readonly body: object };
  /** What must be the same in every answer. */
  readonly kept: (text: string) => string;
};

const subjects: readonly Subject[] = [
  {
    title: 'an embedding model',
    model: name,
    request: { path: '/embed', body: { model_name: name, text: 'a b c', encoding_format: 'base64' } },
    kept: (text) => JSON.parse(text).embedding as string,
  },
  {
    title: 'a tensor model',
    model: '1.0',
    request: { path: '/models/1.0/inference', body: { image: scene(16, 16), compression_level: 0.5, return_reconstruction: true } },
    kept: (text) => text.slice(0, text.indexOf('"inference_time_ms"')),
  },
];

for (const { title, model, request, kept } of subjects) {
  test(`${title} under ${requestsPerSecond} requests a second is loaded anew ${reloads} times, unloaded and loaded: every answer is right`, async (t) => {
    // Every answer comes from the model.
    const options = { MODEL_PATH: tinyBertDirectory, MODEL_NAME: name, ENABLE_EMBEDDING_CACHE: 'false' };
    const server = await startServerProcess(t, options);
    const body = JSON.stringify(request.body);
    const send = () => fetch(server.url + request.path, { method: 'POST', body });
    const expected = kept(await (await send()).text());
    const load = steadyLoad(requestsPerSecond, send);
    const startedMs = performance.now();
    for (let i = 0; i < reloads; i++) assert.equal((await post(server, `/models/${model}/reload`)).status, 200);
    const reloadMs = (performance.now() - startedMs) / reloads;
    for (let i = 0; i < reloads / 10; i++) {
      assert.equal((await post(server, `/models/${model}/unload`)).status, 200);
      assert.equal((await post(server, `/models/${model}/load`)).status, 200);
    }
    const answers = await load.stop();
    const good = answers.filter(({ status }) => status === 200);
    for (const { text } of good) assert.equal(kept(text), expected);
    // A machine that is too slow for the rate may say that, too.
    for (const { status, retryAfter } of answers) assert.ok(status === 200 || ([429, 503].includes(status) && Number(retryAfter) > 0), String(status));
    const slowest = Math.max(...answers.map(({ ms }) => ms));
    t.diagnostic(`${answers.length} answers, ${good.length} of them 200; ${reloadMs.toFixed(0)} ms a reload, the slowest answer ${slowest.toFixed(0)} ms`);
    assert.ok(good.length >= reloads);
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
  });
}

test('where others reach the server, orders need a key with the scope admin', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_NAME: name, HOST: '0.0.0.0' });
  for (const order of ['load', 'unload', 'reload']) {
    assert.equal((await post(server, `/models/org/tiny/${order}`)).body.code, 'ADMIN_DISABLED');
  }
});
