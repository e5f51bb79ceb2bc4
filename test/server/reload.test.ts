// Models that are loaded anew under load: the old one serves until the new one answers, and goes on when there is none.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { embeddedModelDirectory, tinyBertDirectory } from '../support/fixtures.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';

const name = 'org/tiny';

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

test('an embedding model is unloaded, loaded and loaded anew by its name', async (t) => {
  const directory = copyOf(t, tinyBertDirectory);
  const server = await startServerProcess(t, { MODEL_PATH: directory, MODEL_NAME: name });
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

test('a reload of a broken folder leaves the old answers as they were', async (t) => {
  const directory = copyOf(t, tinyBertDirectory);
  const server = await startServerProcess(t, { MODEL_PATH: directory, MODEL_NAME: name });
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

test('where others reach the server, orders need a key with the scope admin', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_NAME: name, HOST: '0.0.0.0' });
  for (const order of ['load', 'unload', 'reload']) {
    assert.equal((await post(server, `/models/org/tiny/${order}`)).body.code, 'ADMIN_DISABLED');
  }
});
