// Downloads on the real server: whole, in parts, by tag, and at the pace of a client that does not read.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, mkdtempSync, rmSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { doubling, doublingOf } from '../support/hostile-models.ts';
import { startServerProcess } from '../support/server-process.ts';
import { demoDirectory } from '../support/tensor-models.ts';

const file = readFileSync(path.join(demoDirectory, 'compressor/1.1/model.onnx'));
const tag = `"${createHash('sha256').update(file).digest('hex')}"`;

test('a model is downloaded as HTTP has it', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory });
  const get = async (headers: Record<string, string> = {}, method = 'GET') => {
    const response = await fetch(`${server.url}/models/1.1/download`, { headers, method });
    return { response, status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
  };

  await t.test('whole, with its hash, length and name', async () => {
    const { response, status, bytes } = await get();
    assert.equal(status, 200);
    assert.ok(bytes.equals(file));
    assert.equal(response.headers.get('etag'), tag);
    assert.equal(response.headers.get('content-length'), String(file.length));
    assert.equal(response.headers.get('accept-ranges'), 'bytes');
    assert.equal(response.headers.get('content-disposition'), 'attachment; filename="compressor-1.1.onnx"');
  });

  await t.test('HEAD says the same without it', async () => {
    const { response, status, bytes } = await get({}, 'HEAD');
    assert.deepEqual([status, bytes.length], [200, 0]);
    assert.equal(response.headers.get('content-length'), String(file.length));
    assert.equal(response.headers.get('etag'), tag);
  });

  await t.test('a range, from either end', async () => {
    for (const [range, from, to] of [['bytes=0-0', 0, 1], ['bytes=1000-', 1000, file.length], ['bytes=-7', file.length - 7, file.length]] as const) {
      const { response, status, bytes } = await get({ range });
      assert.equal(status, 206);
      assert.ok(bytes.equals(file.subarray(from, to)), range);
      assert.equal(response.headers.get('content-range'), `bytes ${from}-${to - 1}/${file.length}`);
    }
    const beyond = await get({ range: `bytes=${file.length}-` });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.response.headers.get('content-range'), `bytes */${file.length}`);
    assert.equal(JSON.parse(beyond.bytes.toString()).code, 'RANGE_UNSATISFIABLE');
  });

  await t.test('what the client has is not sent again', async () => {
    assert.deepEqual([(await get({ 'if-none-match': tag })).status, (await get({ 'if-none-match': '"other"' })).status], [304, 200]);
    assert.equal((await get({ range: 'bytes=0-1', 'if-range': tag })).status, 206);
    assert.equal((await get({ range: 'bytes=0-1', 'if-range': '"other"' })).status, 200);
  });

  await t.test('of a model that is not there, nothing', async () => {
    assert.equal((await fetch(`${server.url}/models/9.9/download`)).status, 404);
  });
});

test('a client that does not read costs no memory, and the server goes on', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-models-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const [version, bytes] of [['small', doubling], ['large', doublingOf(200 * 1024 * 1024)]] as const) {
    mkdirSync(path.join(directory, version));
    writeFileSync(path.join(directory, version, 'model.onnx'), bytes);
  }
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_DIR: directory });
  await fetch(`${server.url}/models/large/download`, { method: 'HEAD' });
  const before = server.residentBytes();
  const sockets = Array.from({ length: 5 }, () => {
    const socket = connect(server.port, '127.0.0.1').pause();
    socket.on('error', () => {});
    socket.write('GET /models/large/download HTTP/1.1\r\nHost: x\r\n\r\n');
    return socket;
  });
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await sleep(1500);
  assert.ok(server.residentBytes() - before < 60 * 1024 * 1024, `${(server.residentBytes() - before) / 1e6} MB more`);
  assert.equal((await fetch(`${server.url}/models/small/download`)).status, 200);
});
