// Uploads on the real server: what is good is served, what harms is refused, and nothing of that is left.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { uploadsMax } from '../../src/limits.ts';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { doubling, doublingOf, hostileModels } from '../support/hostile-models.ts';
import { node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';

const negating = onnxModel({
  nodes: [node('Neg', ['x'], ['y'])],
  inputs: [tensorInfo('x', 'float32', ['n', 2])],
  outputs: [tensorInfo('y', 'float32', ['n', 2])],
});

function modelDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-models-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function startUploads(t: TestContext, directory: string, options: Record<string, string> = {}): Promise<ServerProcess> {
  return startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_DIR: directory, ALLOW_UPLOAD: 'true', ...options });
}

async function answerOf(response: Response) {
  return { status: response.status, body: (await response.json()) as Record<string, any> };
}

async function upload(server: ServerProcess, file: Buffer, fields: Record<string, string>, filename = 'model.onnx') {
  const form = new FormData();
  // As curl does when -F file= comes first: the fields are not known while the file is read.
  form.set('file', new Blob([file]), filename);
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  return answerOf(await fetch(`${server.url}/models/upload`, { method: 'POST', body: form }));
}

async function put(server: ServerProcess, file: Buffer, target: string, headers: Record<string, string> = {}) {
  return answerOf(await fetch(`${server.url}/models/${target}`, { method: 'PUT', body: file, headers }));
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

test('an uploaded model is listed, runs, and survives a restart', async (t) => {
  const directory = modelDirectory(t);
  const server = await startUploads(t, directory);
  const manifest = JSON.stringify({ inputs: [{ name: 'x', field: 'numbers' }], outputs: [{ name: 'y', field: 'doubled' }] });
  const { status, body } = await upload(server, doubling, { name: 'math', version: '1.0', manifest, sha256: sha256(doubling) });
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual([body.name, body.version, body.size_bytes, body.sha256], ['math', '1.0', doubling.length, sha256(doubling)]);
  const run = async ({ url }: ServerProcess) => {
    const request = { method: 'POST', body: JSON.stringify({ numbers: [[1, 2]] }) };
    return (await answerOf(await fetch(`${url}/models/1.0/inference`, request))).body.doubled;
  };
  assert.deepEqual(await run(server), [[2, 4]]);
  assert.equal(await server.metric('ortserve_uploads_total{outcome="published"}'), 1);
  await server.stop();
  assert.deepEqual(readdirSync(directory), ['math']);
  assert.deepEqual(readFileSync(path.join(directory, 'math/1.0/model.onnx')), doubling);
  assert.deepEqual(await run(await startUploads(t, directory)), [[2, 4]]);
});

test('plain bytes are taken, under a version alone or name:version', async (t) => {
  const directory = modelDirectory(t);
  const server = await startUploads(t, directory);
  assert.equal((await put(server, doubling, '2.0')).body.name, '2.0');
  const digest = `sha-256=:${createHash('sha256').update(doubling).digest('base64')}:`;
  assert.equal((await put(server, doubling, 'math:2.1', { 'content-digest': digest })).body.name, 'math');
  const response = await fetch(`${server.url}/models/upload?version=2.2&name=math`, { method: 'POST', body: doubling });
  assert.equal(response.status, 200);
  const { models } = (await (await fetch(`${server.url}/models`)).json()) as { models: { name: string; version: string }[] };
  const rows = models.map(({ name, version }) => `${name}:${version}`);
  for (const row of ['2.0:2.0', 'math:2.1', 'math:2.2']) assert.ok(rows.includes(row), row);
  assert.equal((await put(server, doubling, '2.0')).status, 409);
  assert.equal((await put(server, doubling, 'MATH:2.1')).status, 409);
});

test('a file without a name of its own is taken, too', async (t) => {
  const server = await startUploads(t, modelDirectory(t));
  const head = (name: string): string => `--B\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`;
  const body = Buffer.concat([Buffer.from(`${head('version')}1.0\r\n${head('file')}`), doubling, Buffer.from('\r\n--B--\r\n')]);
  const headers = { 'content-type': 'multipart/form-data; boundary=B' };
  const { status, body: answer } = await answerOf(await fetch(`${server.url}/models/upload`, { method: 'POST', headers, body }));
  assert.deepEqual([status, answer.size_bytes], [200, doubling.length], JSON.stringify(answer));
});

test('the name of an embedding model is taken', async (t) => {
  const server = await startUploads(t, modelDirectory(t), { MODEL_NAME: 'tiny' });
  for (const fields of [{ version: 'tiny' }, { name: 'Tiny', version: '1' }, { name: 'other', version: 'tiny' }]) {
    const { status, body } = await upload(server, doubling, fields);
    assert.deepEqual([status, body.detail], [409, 'That name is one of an embedding model.'], JSON.stringify(body));
  }
});

test('what takes the place of a removed model is what answers, though that one is still loaded', async (t) => {
  const directory = modelDirectory(t);
  const server = await startUploads(t, directory);
  const run = async () => {
    const response = await fetch(`${server.url}/models/math:1/inference`, { method: 'POST', body: '{"x":[[1,2]]}' });
    return (await answerOf(response)).body.y;
  };
  assert.equal((await put(server, doubling, 'math:1')).status, 200);
  assert.deepEqual(await run(), [[2, 4]]);
  rmSync(path.join(directory, 'math/1'), { recursive: true });
  assert.equal((await put(server, negating, 'math:1')).status, 200);
  assert.deepEqual(await run(), [[-1, -2]]);
});

test('names that are none, wrong hashes and other sites are refused', async (t) => {
  const directory = modelDirectory(t);
  mkdirSync(path.join(directory, 'texts'));
  symlinkSync(tmpdir(), path.join(directory, 'linked'));
  const server = await startUploads(t, directory, { MAX_UPLOAD_SIZE: '100KB' });
  const names = ['../../x', '..', '/etc/x', 'a/b', 'a\\b', '%2e%2e', '.hidden', '-flag', '__proto__', 'upload', 'model.onnx', 'tokenizer.json', 'x'.repeat(300), 'a\0b', ''];
  for (const version of names) {
    const { status, body } = await upload(server, doubling, { version });
    assert.equal(status, 400, version);
    assert.equal(body.extra[0].key, 'version');
  }
  for (const name of ['../x', 'math.onnx']) assert.equal((await upload(server, doubling, { version: '1', name })).status, 400);
  assert.equal((await upload(server, doubling, { version: '1' }, '../../x.onnx')).status, 400);
  assert.equal((await upload(server, doubling, { version: '1', sha256: 'ab'.repeat(32) })).status, 400);
  assert.equal((await upload(server, doubling, { version: '1', other: '1' })).body.extra[0].key, 'other');
  assert.equal((await upload(server, doubling, { version: '1', manifest: '{"inputs":[{"name":"z"}]}' })).status, 400);
  assert.equal((await upload(server, doubling, { version: '1', manifest: 'no JSON' })).status, 400);
  assert.equal((await upload(server, doubling, { version: '1', name: 'linked' })).status, 409);
  assert.equal((await put(server, doubling, encodeURIComponent('../x'))).status, 400);
  assert.equal((await put(server, doublingOf(200_000), '9')).status, 413);
  const elsewhere = await fetch(`${server.url}/models/upload?version=1`, { method: 'POST', body: doubling, headers: { origin: 'http://example.com' } });
  assert.equal(elsewhere.status, 403);
  assert.equal((await upload(server, doubling, { version: 'constructor' })).status, 200);
  assert.deepEqual(readdirSync(directory).sort(), ['constructor', 'linked', 'texts']);
});

test('models that harm are refused with a reason; the server answers on and nothing is left', { timeout: 300_000 }, async (t) => {
  const directory = modelDirectory(t);
  const server = await startUploads(t, directory, { MODEL_CHECK_TIMEOUT: '8', MODEL_CHECK_MEMORY: '600MB' });
  for (const [what, [bytes, reason]] of Object.entries(hostileModels)) {
    await t.test(what, async () => {
      const { status, body } = await upload(server, bytes, { version: '1.0', name: 'hostile' });
      assert.equal(status, 400, JSON.stringify(body));
      assert.equal(body.code, 'MODEL_INVALID');
      assert.match(body.detail, reason);
      assert.ok(!body.detail.includes(directory) && !/onnxruntime_src|staging|uploads/.test(body.detail), body.detail);
      assert.deepEqual(readdirSync(directory), []);
    });
  }
  assert.equal((await upload(server, doubling, { version: '1.0', name: 'hostile' })).status, 200);
  const children = readFileSync(`/proc/${server.process.pid}/task/${server.process.pid}/children`, 'utf8');
  assert.equal(children.trim(), '');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('without ALLOW_UPLOAD, nobody uploads; with keys, only an admin does', async (t) => {
  const closed = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_DIR: modelDirectory(t) });
  const { status, body } = await upload(closed, doubling, { version: '1' });
  assert.deepEqual([status, body.code], [403, 'UPLOAD_DISABLED']);
  const open = await startUploads(t, modelDirectory(t), { API_KEY: 'a key of sixteen characters' });
  assert.equal((await put(open, doubling, '1')).status, 401);
  assert.equal((await put(open, doubling, '1', { 'x-api-key': 'a key of sixteen characters' })).status, 200);
});

test('without MODEL_DIR, uploads go beside the data and never over a demo model', async (t) => {
  const data = modelDirectory(t);
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, ALLOW_UPLOAD: 'true', DATA_DIR: data });
  assert.equal((await put(server, doubling, 'compressor:1.0')).status, 409);
  assert.equal((await put(server, doubling, 'compressor:1.2')).status, 200);
  assert.deepEqual(readdirSync(path.join(data, 'models')), ['compressor']);
  const { models } = (await (await fetch(`${server.url}/models`)).json()) as { models: { version: string | null }[] };
  assert.deepEqual(models.map(({ version }) => version).filter((version) => version !== null), ['1.0', '1.1', '1.2']);
});

test('uploads at once are bounded, and those whose client leaves are gone', async (t) => {
  const directory = modelDirectory(t);
  const server = await startUploads(t, directory);
  const begun = Array.from({ length: uploadsMax }, (_, i) => {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`PUT /models/slow${i} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(50_000)}`);
    return socket;
  });
  const staged = () => (existsSync(path.join(directory, '.uploads')) ? readdirSync(path.join(directory, '.uploads')).length : 0);
  while (staged() < uploadsMax) await sleep(10);
  const { status, body } = await put(server, doubling, 'one-more');
  assert.deepEqual([status, body.code], [429, 'QUEUE_FULL']);
  for (const socket of begun) socket.destroy();
  while (staged() > 0) await sleep(10);
  // The last of them may not have been counted out yet.
  let last = await put(server, doubling, 'one-more');
  while (last.status === 429) last = await put(server, doubling, 'one-more');
  assert.equal(last.status, 200);
  assert.deepEqual(readdirSync(directory), ['one-more']);
});

test('an upload is not held in memory', async (t) => {
  const server = await startUploads(t, modelDirectory(t));
  const file = doublingOf(256 * 1024 * 1024);
  await put(server, doubling, 'warm');
  const before = server.residentBytes();
  let most = 0;
  assert.equal(await putSteadily(server, file, 'large', () => (most = Math.max(most, server.residentBytes()))), 200);
  t.diagnostic(`${Math.round((most - before) / 1e6)} MB more`);
  // Chunks that nobody collected yet; it does not grow with the file.
  assert.ok(most - before < 150 * 1024 * 1024, `${(most - before) / 1e6} MB more`);
});

/** As a fast network brings it: some hundred megabytes a second, in pieces. */
async function putSteadily(server: ServerProcess, file: Buffer, version: string, look: () => void): Promise<number> {
  const pieceBytes = 256 * 1024;
  const target = { port: server.port, host: '127.0.0.1', path: `/models/${version}`, method: 'PUT', headers: { 'content-length': file.length } };
  const outgoing = request(target);
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  for (let at = 0; at < file.length; at += pieceBytes) {
    if (!outgoing.write(file.subarray(at, at + pieceBytes))) await once(outgoing, 'drain');
    await sleep(1);
    look();
  }
  outgoing.end();
  const [answer] = await answered;
  answer.resume();
  return answer.statusCode!;
}
