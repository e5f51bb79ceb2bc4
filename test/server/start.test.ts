// Starting: what goes wrong is one readable line and a code that scripts can tell apart.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, existsSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { freePort } from '../support/free-port.ts';
import { mainFile, serverEnvironment, startServerProcess } from '../support/server-process.ts';

function start(t: TestContext, options: Record<string, string>, args: readonly string[] = []) {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return spawnSync(process.execPath, [mainFile, ...args], {
    cwd: directory,
    env: serverEnvironment(options, directory),
    encoding: 'utf8',
    timeout: 20_000,
  });
}

test('a bad option ends with 78 and a line that names it', (t) => {
  const { status, stderr } = start(t, { PORT: 'eighty', MAX_BATCH_SIZE: '0' });
  assert.equal(status, 78);
  assert.match(stderr, /PORT="eighty"/);
  assert.match(stderr, /MAX_BATCH_SIZE/);
  assert.doesNotMatch(stderr, /\n\s+at /);
});

test('an unknown flag ends with 2', (t) => {
  const { status, stderr } = start(t, {}, ['--prot', '80']);
  assert.equal(status, 2);
  assert.match(stderr, /--port/);
});

test('a model folder that is none ends with 78 and a line that names it', (t) => {
  const { status, stderr } = start(t, { MODEL_PATH: '/nonexistent/model' });
  assert.equal(status, 78);
  assert.match(stderr, /\/nonexistent\/model/);
  assert.doesNotMatch(stderr, /\n\s+at /);
});

test('what should be a folder or a file of a model and is not ends with 78', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'file');
  writeFileSync(file, '');
  // What a cache leaves whose blobs were removed.
  const linked = join(directory, 'linked');
  cpSync(tinyBertDirectory, linked, { recursive: true });
  rmSync(join(linked, 'onnx/model.onnx'));
  symlinkSync(join(directory, 'blob'), join(linked, 'onnx/model.onnx'));
  for (const [options, place] of [[{ MODEL_DIR: file }, file], [{ MODEL_PATH: linked }, join(linked, 'onnx/model.onnx')]] as const) {
    const { status, stderr } = start(t, options);
    assert.equal(status, 78, stderr);
    assert.match(stderr, /^ortserve: .*\n$/);
    assert.ok(stderr.includes(place), stderr);
  }
});

test('two models of one name end with 78', (t) => {
  for (const options of [
    { MODELS: 'org/name,org/name@v2' },
    { MODELS: 'org/name', MODEL_PATH: tinyBertDirectory, MODEL_NAME: 'org/name' },
    { TRITON_URL: '127.0.0.1:1', TRITON_MODEL: 'name', MODEL_NAME: 'name' },
  ]) {
    const { status, stderr } = start(t, options);
    assert.equal(status, 78);
    assert.match(stderr, /^ortserve: Two models have the name /);
  }
});

test('a port in use ends with 69', async (t) => {
  const server = await startServerProcess(t, {}, { waitReady: false });
  const { status, stderr } = start(t, { PORT: String(server.port) });
  assert.equal(status, 69);
  assert.match(stderr, new RegExp(String(server.port)));
});

test('so it does where connections were opened before, though nothing answers them', async (t) => {
  const server = await startServerProcess(t, {}, { waitReady: false });
  const redis = { REDIS_URL: 'redis://127.0.0.1:1', ENABLE_RATE_LIMIT: 'true' };
  assert.equal(start(t, { PORT: String(server.port), ...redis }).status, 69);
  assert.equal(start(t, { API_KEYS_FILE: '/nonexistent/keys.json', ...redis }).status, 78);
});

test('a failure that nobody foresaw ends with 70', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const itself = join(directory, 'itself');
  symlinkSync(itself, itself);
  const { status, stderr } = start(t, { MODEL_DIR: itself });
  assert.equal(status, 70);
  assert.match(stderr, /ELOOP/);
});

test('a model file that cannot be opened ends with 78, and its path is in the log only', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const [file, text] of Object.entries({
    'model.onnx': 'this is no model',
    'config.json': '{"max_position_embeddings":512}',
    'tokenizer.json': '{}',
    'tokenizer_config.json': '{}',
  })) {
    writeFileSync(join(directory, file), text);
  }
  const { status } = start(t, { MODEL_PATH: directory, POOLING: 'mean' });
  assert.equal(status, 78);
});

test('a log that cannot be written costs its lines, not the server', { skip: !existsSync('/dev/full') }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const port = String(await freePort());
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, [mainFile], {
    cwd: directory,
    env: serverEnvironment({ MODEL_PATH: tinyBertDirectory, PORT: port, LOG_LEVEL: 'debug' }, directory),
    stdio: ['ignore', full, 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  closeSync(full);
  const ended = once(child, 'exit');
  const ask = () => fetch(`http://127.0.0.1:${port}/v1/embeddings`, {
    method: 'POST', body: JSON.stringify({ model: 'tiny-bert', input: 'one' }),
  }).catch(() => undefined);
  let answer = await ask();
  while (answer === undefined && child.exitCode === null) answer = await ask();
  assert.equal(answer?.status, 200);
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});

test('--version and --help answer without a server', (t) => {
  assert.match(start(t, {}, ['--version']).stdout, /^\d+\.\d+\.\d+\n$/);
  assert.match(start(t, {}, ['--help']).stdout, /THREAD_POOL_WORKERS/);
});
