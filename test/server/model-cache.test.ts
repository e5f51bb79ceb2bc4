// More models than there is room for, on the real server: the idle ones make room, the busy one never.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { newFolder, tinyFiles } from '../hub/support.ts';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { HubServer } from '../support/hub-server.ts';
import { identity } from '../support/identity-models.ts';
import { send } from '../support/printed-commands.ts';
import { startServerProcess } from '../support/server-process.ts';

const [busy, second, third] = ['org/busy', 'org/second', 'org/third'] as const;
const turns = 12;

test('of three models with room for two, the one that nobody uses leaves', async (t) => {
  const hub = await HubServer.start(t, Object.fromEntries([busy, second, third].map((name) => [name, { files: tinyFiles }])));
  const server = await startServerProcess(t, {
    MODELS: busy, ALLOWED_MODELS: [busy, second, third].join(','), MAX_CACHED_MODELS: '2', ENABLE_EMBEDDING_CACHE: 'false', HF_ENDPOINT: hub.url, HF_HOME: newFolder(t),
  });
  const vectorOf = async (model: string): Promise<string> => {
    const { status, body } = await send(server, 'POST /embed', { model_name: model, text: 'a b c', encoding_format: 'base64' });
    assert.equal(status, 200, `${model}: ${JSON.stringify(body)}`);
    return body.embedding as string;
  };
  const expected = await vectorOf(busy);
  let isOver = false;
  const clients = Array.from({ length: 4 }, async () => {
    let answers = 0;
    for (; !isOver; answers++) assert.equal(await vectorOf(busy), expected);
    return answers;
  });
  for (let turn = 0; turn < turns; turn++) {
    for (const model of [second, third]) {
      // Several at once share one load.
      const vectors = await Promise.all([vectorOf(model), vectorOf(model), vectorOf(model)]);
      assert.deepEqual(new Set(vectors), new Set([expected]));
    }
  }
  isOver = true;
  const answers = (await Promise.all(clients)).reduce((sum, each) => sum + each);
  t.diagnostic(`${answers} answers of the busy model beside ${2 * turns} loads of the others`);

  const left = server.lines.filter(({ msg }) => msg === 'model leaves');
  assert.ok(left.every(({ model, reason }) => model !== busy && reason === 'lru'), JSON.stringify(left));
  assert.equal(server.lines.filter(({ msg, model }) => msg === 'model ready' && model === busy).length, 1);
  assert.equal(left.length, 2 * turns - 1);
  assert.equal(await server.metric('ortserve_model_evictions_total{reason="lru"}'), 2 * turns - 1);
  assert.equal(await server.metric('ortserve_models_loaded'), 2);
  const { model_cache: cache } = (await send(server, 'GET /health')).body;
  assert.deepEqual([cache.loaded, cache.max, cache.evictions], [2, 2, 2 * turns - 1]);
});

test('so does a pinned tensor model', async (t) => {
  const directory = newFolder(t);
  for (const model of ['a/1', 'a/2', 'b/1', 'c']) {
    mkdirSync(join(directory, model), { recursive: true });
    writeFileSync(join(directory, model, 'model.onnx'), identity('float32', ['n']));
  }
  const server = await startServerProcess(t, {
    MODEL_PATH: tinyBertDirectory, MODEL_DIR: directory, PINNED_MODELS: 'a:1,b', MAX_CACHED_MODELS: '1',
  });
  const names = ['a:1', 'b', 'a:2', 'c'];
  for (const name of names) assert.equal((await send(server, `POST /models/${name}/inference`, { input: [1] })).status, 200);
  const loaded = await Promise.all(names.map(async (name) => (await send(server, `GET /models/${name}`)).body.loaded as boolean));
  assert.deepEqual(loaded, [true, true, false, false]);
  assert.equal((await send(server, 'POST /models/a:1/unload')).body.unloaded, true);
});

test('a pinned model stays though others were used later', async (t) => {
  const hub = await HubServer.start(t, Object.fromEntries([busy, second, third].map((name) => [name, { files: tinyFiles }])));
  const server = await startServerProcess(t, {
    MODELS: [busy, second, third].join(','), PINNED_MODELS: busy, MAX_CACHED_MODELS: '1', ENABLE_EMBEDDING_CACHE: 'false', HF_ENDPOINT: hub.url, HF_HOME: newFolder(t),
  });
  for (const model of [second, third, second, third]) {
    assert.equal((await send(server, 'POST /embed', { model_name: model, text: 'a' })).status, 200);
  }
  const { body } = await send(server, `GET /models/${busy}`);
  assert.deepEqual([body.loaded, body.pinned], [true, true]);
  assert.ok(!server.lines.some(({ msg, model }) => msg === 'model leaves' && model === busy));
});
