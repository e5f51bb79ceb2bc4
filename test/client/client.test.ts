// The client in Node, on the real server and on one that fails as told.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { Client, ConnectionError, RequestError } from '../../src/client/client.ts';
import { errorOf } from '../../src/client/errors.ts';
import type { SocketConstructor } from '../../src/client/stream.ts';
import { waitMs } from '../../src/client/retry.ts';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { startServerProcess } from '../support/server-process.ts';
import { until } from '../support/until.ts';
import { counting, serveSockets } from '../transport/socket-support.ts';
import { SocketRelay } from './socket-relay.ts';

const model = 'tiny-bert';
const apiKey = 'a-key-(with)-everything/%';
const texts = Array.from({ length: 500 }, (_, i) => `${'word '.repeat(i % 12)}number ${i}`);
const webSocket = WebSocket as unknown as SocketConstructor;

test('the client and the server', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, API_KEY: apiKey });
  const client = new Client({ url: `${server.url}/`, apiKey, WebSocket: webSocket });
  const { vectors } = await client.embed(model, texts);

  await t.test('embeds over HTTP', async () => {
    const { vectors: one, dimension, tokens, truncated } = await client.embed(model, texts[3]!);
    assert.deepEqual([one.length, dimension, truncated], [1, 16, 0]);
    assert.ok(tokens > 4 && one[0] instanceof Float32Array);
    const json = await client.json<any>('/v1/embeddings', { body: { model, input: texts[3] } });
    assert.deepEqual([...one[0]!], json.data[0].embedding.map(Math.fround));
    assert.equal((await client.json<any>('/v1/models')).data[0].id, model);
  });

  await t.test('tells what the server refuses, whatever its shape', async () => {
    await assert.rejects(client.embed('none', 'x'), { name: 'RequestError', code: 'MODEL_NOT_FOUND', status: 404, field: 'model' });
    await assert.rejects(client.infer('9.9', {}), { code: 'MODEL_NOT_FOUND', status: 404 });
    await assert.rejects(client.json('/embed', { body: { inputs: [] } }), { name: 'RequestError', status: 400 });
    await assert.rejects(new Client({ url: server.url }).embed(model, 'x'), { code: 'INVALID_API_KEY', status: 401 });
    await assert.rejects(new Client({ url: server.url, apiKey: 'wrong', WebSocket: webSocket, retries: 0 }).stream(), ConnectionError);
  });

  await t.test('an abort ends a request at once', async () => {
    const reason = new Error('enough');
    await assert.rejects(client.embed(model, texts, { signal: AbortSignal.abort(reason) }), reason);
  });

  await t.test('embeds over WebSocket, vector by vector', async (tt) => {
    const stream = await client.stream();
    tt.after(() => stream.close());
    let count = 0;
    for await (const { index, vector } of stream.embed(model, texts)) {
      assert.deepEqual(vector, vectors[index]);
      count += 1;
    }
    assert.equal(count, texts.length);
    // More at once than the server takes.
    await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      for await (const { vector } of stream.embed(model, texts[i]!)) assert.deepEqual(vector, vectors[i]);
    }));
    for await (const { index } of stream.embed(model, texts)) if (index >= 0) break;
    const [first] = await Promise.all([stream.embed(model, 'after').next()]);
    assert.equal((first!.value as { index: number }).index, 0);
    await assert.rejects(stream.embed('none', 'x').next(), { code: 'MODEL_NOT_FOUND' });
    const abort = new AbortController();
    const aborted = stream.embed(model, texts, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await assert.rejects(aborted.next(), /enough/);
    const { value } = await stream.call('openai.models').next();
    assert.equal((value?.fields['body'] as any).data[0].id, model);
  });

  await t.test('runs a tensor model with raw tensors', async (tt) => {
    const stream = await client.stream();
    tt.after(() => stream.close());
    const imu = { datatype: 'float32', shape: [6], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
    const { tensors, fields } = await stream.infer('1.0', { imu }, { body: { return_metrics: true } });
    const json = await client.infer<any>('1.0', { imu: [1, 2, 3, 4, 5, 6] });
    for (const [name, { data, shape }] of Object.entries(tensors)) {
      assert.deepEqual([...data].map(Number), json[name].flat(9).map(Math.fround), name);
      assert.ok(shape.length > 0);
    }
    assert.deepEqual(fields['metrics'], json.metrics);
    await assert.rejects(stream.infer('1.0', { imu: { ...imu, shape: [5] } }), { code: 'REQUEST_INVALID', field: 'imu.data' });
  });

  await t.test('goes on after lost connections without a gap', async (tt) => {
    const relay = await SocketRelay.open(tt, server.port);
    const far = new Client({ url: `http://127.0.0.1:${relay.port}`, apiKey, WebSocket: webSocket, retries: 10 });
    const stream = await far.stream();
    tt.after(() => stream.close());
    const seen = new Set<number>();
    for await (const { index, vector } of stream.embed(model, texts)) {
      assert.deepEqual(vector, vectors[index]);
      assert.ok(!seen.has(index));
      seen.add(index);
      if (seen.size % 150 === 0) relay.breakAll();
    }
    assert.equal(seen.size, texts.length);
    relay.breakAll();
    assert.equal((await stream.embed(model, 'later').next()).done, false, 'it connects again when it is asked');
  });
});

test('a stream outlives what cannot be sent', async (t) => {
  const { url } = await serveHello(t, (message) => ({ type: 'result', id: message.id }));
  const stream = await new Client({ url, WebSocket: webSocket }).stream();
  t.after(() => stream.close());
  const strings = { texts: { datatype: 'string', shape: [1], data: ['a'] } };
  const calls = Array.from({ length: 3 }, (_, i) => stream.call('echo', i === 1 ? {} : { tensors: strings }));
  await assert.rejects(calls[0]!.next(), TypeError);
  assert.equal((await calls[1]!.next()).value?.type, 'result');
  await assert.rejects(calls[2]!.next(), TypeError);
  assert.equal((await stream.call('echo').next()).value?.type, 'result');
});

test('a resumable call of large messages is acknowledged before the server waits for it', { timeout: 10_000 }, async (t) => {
  const { port } = await serveSockets(t, [counting()]);
  const stream = await new Client({ url: `http://127.0.0.1:${port}`, WebSocket: webSocket }).stream();
  t.after(() => stream.close());
  for (const size of [60_000, 1_500_000]) {
    let items = 0;
    for await (const { type } of stream.call('count', { resumable: true, body: { count: 40, size } })) if (type === 'item') items += 1;
    assert.equal(items, 40);
  }
});

test('messages that are asked for at once come in turn', { timeout: 10_000 }, async (t) => {
  const { port } = await serveSockets(t, [counting()]);
  const stream = await new Client({ url: `http://127.0.0.1:${port}`, WebSocket: webSocket }).stream();
  t.after(() => stream.close());
  const call = stream.call('count', { body: { count: 2 } });
  const steps = await Promise.all([call.next(), call.next(), call.next(), call.next()]);
  assert.deepEqual(steps.map(({ value }) => value?.type), ['item', 'item', 'summary', undefined]);
});

test('a request larger than the server takes is refused before it is sent', { timeout: 10_000 }, async (t) => {
  const { port } = await serveSockets(t, [counting()]);
  const stream = await new Client({ url: `http://127.0.0.1:${port}`, WebSocket: webSocket }).stream();
  t.after(() => stream.close());
  const tensors = { x: { datatype: 'uint8', shape: [100_000], data: new Uint8Array(100_000) } };
  for (const options of [{ body: 'x'.repeat(100_000) }, { body: '\u20ac'.repeat(30_000) }, { body: 'x'.repeat(2_000_000), resumable: true }, { tensors }]) {
    await assert.rejects(stream.call('count', options).next(), { name: 'RequestError', code: 'REQUEST_TOO_LARGE', status: 413 });
  }
  assert.equal((await stream.call('count', { body: { count: 0, text: 'x'.repeat(60_000) } }).next()).value?.type, 'summary');
});

test('closing a stream ends the connection that it is about to make, too', { timeout: 10_000 }, async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  t.after(() => server.close());
  let connections = 0;
  server.on('connection', (socket) => {
    connections += 1;
    if (connections === 1) socket.send(JSON.stringify({ type: 'hello', requests_max: 1 }));
    t.after(() => socket.terminate());
  });
  await once(server, 'listening');
  const stream = await new Client({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, WebSocket: webSocket }).stream();
  const asked = stream.call('echo', { resumable: true }).next();
  const failed = assert.rejects(asked, ConnectionError);
  server.clients.forEach((socket) => socket.terminate());
  await until(() => connections === 2 && server.clients.size === 1, 'it connects again, and is not answered');
  stream.close();
  await failed;
  await until(() => server.clients.size === 0, 'it gave up');
});

test('what the server does not let resume is not asked for again once some of it came', async (t) => {
  let asked = 0;
  const { url, breakAll } = await serveHello(t, (message) => {
    asked += 1;
    return { type: 'item', id: message.id, n: asked };
  });
  const stream = await new Client({ url, WebSocket: webSocket }).stream();
  t.after(() => stream.close());
  const call = stream.call('count', { resumable: true });
  assert.equal((await call.next()).value?.fields['n'], 1);
  breakAll();
  await assert.rejects(call.next(), ConnectionError);
  assert.equal(asked, 1);
});

test('an abort ends the wait for a server that says nothing', { timeout: 5000 }, async (t) => {
  const silent = createServer().listen(0, '127.0.0.1');
  silent.on('upgrade', () => {});
  t.after(() => {
    silent.close();
    silent.closeAllConnections();
  });
  await once(silent, 'listening');
  const client = new Client({ url: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`, WebSocket: webSocket });
  await assert.rejects(client.stream({ signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' });
});

test('the package offers it by its name', async () => {
  const found = (await import('ortserve/client' as string)) as object;
  assert.deepEqual(Object.keys(found).sort(), ['Client', 'ConnectionError', 'RequestError', 'Stream', 'StreamedCall']);
});

type Answer = (message: { id: string }) => object;

/** Takes one request at a time and answers each as told. */
async function serveHello(t: TestContext, answer: Answer): Promise<{ url: string; breakAll: () => void }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => {
    socket.send(JSON.stringify({ type: 'hello', requests_max: 1 }));
    socket.on('message', (bytes: Buffer) => {
      const message = JSON.parse(bytes.toString()) as { id: string; op: string };
      if (message.op !== 'cancel') socket.send(JSON.stringify(answer(message)));
    });
  });
  const breakAll = (): void => server.clients.forEach((socket) => socket.terminate());
  t.after(() => {
    breakAll();
    server.close();
  });
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, breakAll };
}

async function failing(t: TestContext, answers: readonly { status: number; headers?: Record<string, string> }[]): Promise<{ url: string; times: number[] }> {
  const times: number[] = [];
  const server: Server = createServer((_request, response) => {
    const { status, headers = {} } = answers[Math.min(times.length, answers.length - 1)]!;
    times.push(performance.now());
    if (status === 0) return void response.destroy();
    response.writeHead(status, headers).end(status === 200 ? '{"ok":true}' : '{"detail":"no","code":"X"}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, times };
}

test('the client tries again when the server says so, no earlier', async (t) => {
  const { url, times } = await failing(t, [{ status: 429, headers: { 'retry-after-ms': '80' } }, { status: 503 }, { status: 0 }, { status: 200 }]);
  assert.deepEqual(await new Client({ url }).json('/x'), { ok: true });
  assert.equal(times.length, 4);
  assert.ok(times[1]! - times[0]! >= 79);
});

test('an error page of a proxy is an error of its status, whatever JSON it is', async () => {
  for (const text of ['null', '"busy"', '[]', '7', '<html>']) {
    const error = await errorOf(new Response(text, { status: 502 }));
    assert.deepEqual([error.status, error.code, error.message], [502, 'HTTP_502', 'The server answered with 502.'], text);
  }
});

test('the client gives up on what cannot succeed, after its tries, and where the wait is too long', async (t) => {
  const wrong = await failing(t, [{ status: 400 }]);
  await assert.rejects(new Client({ url: wrong.url }).json('/x'), (error: RequestError) => error.code === 'X' && error.message === 'no');
  assert.equal(wrong.times.length, 1);
  const always = await failing(t, [{ status: 503, headers: { 'retry-after-ms': '1' } }]);
  await assert.rejects(new Client({ url: always.url, retries: 2 }).json('/x'), { status: 503, retryAfterMs: 1 });
  assert.equal(always.times.length, 3);
  const late = await failing(t, [{ status: 429, headers: { 'retry-after': '3600' } }]);
  await assert.rejects(new Client({ url: late.url }).json('/x'), { retryAfterMs: 3_600_000 });
  assert.equal(late.times.length, 1);
  const abort = new AbortController();
  const waiting = new Client({ url: late.url, retryWaitMsMax: 1e9 }).json('/x', { signal: abort.signal });
  setTimeout(() => abort.abort(new Error('enough')), 50);
  await assert.rejects(waiting, /enough/);
});

test('an abort while the answer comes is told as one', { timeout: 5000 }, async (t) => {
  const server = createServer((_request, response) => void response.writeHead(200, { 'content-length': '10' }).write('{')).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  const client = new Client({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const abort = new AbortController();
  setTimeout(() => abort.abort(new Error('enough')), 100);
  await assert.rejects(client.json('/x', { signal: abort.signal }), /enough/);
});

test('waits grow by chance, or are a little longer than asked', () => {
  const full = new RequestError({ message: '', code: 'QUEUE_FULL', status: 429, retryAfterMs: 1000 });
  assert.deepEqual([waitMs(full, 0, () => 0), waitMs(full, 5, () => 1)], [1000, 1250]);
  const broken = new ConnectionError('');
  assert.deepEqual([waitMs(broken, 0, () => 1), waitMs(broken, 3, () => 0.5)], [250, 1000]);
  assert.equal(waitMs(new Error('a bug'), 0), undefined);
});
