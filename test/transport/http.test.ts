// The table of operations over HTTP: paths, methods, headers of every answer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorShape } from '../../src/transport/routes.ts';
import { echo, json, operation, RawClient, request, serve } from './support.ts';

const list = operation('GET', '/v1/models', () => ['a', 'b']);
const one = operation('GET', '/v1/models/*', (_text, call) => call.parameters['*']);
const create = operation('POST', '/v1/models', (text) => text);
const stats = operation('GET', '/models/:version/stats', (_text, call) => call.parameters.version);
const load = operation('PUT', '/models/:version/load', (_text, call) => call.parameters.version);
const remove = operation('DELETE', '/models/:version', (_text, call) => call.parameters.version);
const all = [list, one, create, stats, load, remove, echo];

test('One path may have several methods', async (t) => {
  const { url } = await serve(t, all);
  assert.deepEqual(await (await fetch(`${url}/v1/models`)).json(), ['a', 'b']);
  assert.equal(await (await fetch(`${url}/v1/models`, { method: 'POST', body: 'x' })).json(), 'x');
});

test('Parameters reach the operation decoded', async (t) => {
  const { url } = await serve(t, all);
  assert.equal(await (await fetch(`${url}/models/a%2Fb/stats`)).json(), 'a/b');
  assert.equal(await (await fetch(`${url}/models/v%201/load`, { method: 'PUT' })).json(), 'v 1');
  assert.equal(await (await fetch(`${url}/models/1`, { method: 'DELETE' })).json(), '1');
  assert.equal(await (await fetch(`${url}/v1/models/org/name`)).json(), 'org/name');
});

test('Query and headers reach the operation after it has waited', async (t) => {
  const late = operation('POST', '/late', async (_text, call) => {
    await new Promise(setImmediate);
    return [call.query.get('q'), call.header('x-own'), call.header('absent')];
  });
  const { url } = await serve(t, [late]);
  const answered = await fetch(`${url}/late?q=a%20b`, { method: 'POST', body: 'x', headers: { 'X-Own': 'yes' } });
  assert.deepEqual(await answered.json(), ['a b', 'yes', '']);
});

test('A path that nothing answers is 404 in the shape of its surface', async (t) => {
  const shape = (prefix: string, name: string): ErrorShape => ({
    prefix, encodeError: (error) => json({ shape: name, code: error.code }, 404),
  });
  const errorShapes = [shape('/', 'root'), shape('/v1', 'openai'), shape('/v1/kserve/', 'kserve')];
  const { url, ended } = await serve(t, all, { errorShapes });
  const rows = [
    ['/nowhere', 'root'], ['/v10/x', 'root'], ['/v1', 'openai'], ['/v1/x', 'openai'], ['/v1/models/', 'openai'],
    ['/v1/kserve/x', 'kserve'], ['//v1/models', 'root'],
  ];
  for (const [path, name] of rows) {
    const answered = await fetch(`${url}${path}`);
    assert.equal(answered.status, 404, path);
    assert.deepEqual(await answered.json(), { shape: name, code: 'ROUTE_NOT_FOUND' }, path);
  }
  assert.deepEqual([...new Set(ended.map((end) => end.operation))], ['http.notFound'], 'one label, whatever the path');
});

test('Without any error shape a refusal is still JSON', async (t) => {
  const { url } = await serve(t, all, { errorShapes: [] });
  const answered = await fetch(`${url}/nowhere`);
  assert.equal(answered.headers.get('content-type'), 'application/json');
  assert.deepEqual(await answered.json(), { error: { message: 'There is no such path.', code: 'ROUTE_NOT_FOUND' } });
});

test('A method that the path does not take is 405 with those it takes', async (t) => {
  const { server, url } = await serve(t, all);
  for (const method of ['DELETE', 'PATCH', 'PUT']) {
    const answered = await fetch(`${url}/v1/models`, { method, body: 'x' });
    assert.equal(answered.status, 405, method);
    assert.equal(answered.headers.get('allow'), 'GET, HEAD, POST, OPTIONS');
    assert.equal((await answered.json() as { code: string }).code, 'METHOD_NOT_ALLOWED');
  }
  assert.equal((await fetch(`${url}/echo`)).headers.get('allow'), 'POST, OPTIONS');
  assert.match(await new RawClient(t, server.port).send(request('BREW /echo')).waitFor('METHOD'), /^HTTP\/1.1 405/);
});

test('HEAD has the headers of GET and no body', async (t) => {
  const { url, server } = await serve(t, all);
  const got = await fetch(`${url}/v1/models`);
  const headed = await fetch(`${url}/v1/models`, { method: 'HEAD' });
  assert.equal(headed.status, 200);
  assert.equal(await headed.text(), '');
  for (const name of ['content-type', 'content-length']) assert.equal(headed.headers.get(name), got.headers.get(name));
  assert.equal((await fetch(`${url}/nowhere`, { method: 'HEAD' })).status, 404);
  assert.equal((await fetch(`${url}/echo`, { method: 'HEAD' })).status, 405);
  const client = new RawClient(t, server.port).send(request('HEAD /nowhere') + request('HEAD /v1/models'));
  const raw = await client.waitFor('200 OK');
  assert.doesNotMatch(raw, /\{/, 'a body would be taken for the next answer');
});

test('Answers without a body leave the connection usable', async (t) => {
  const { server } = await serve(t, all);
  const client = new RawClient(t, server.port);
  for (const method of ['HEAD', 'OPTIONS', 'HEAD', 'GET']) {
    client.received = '';
    client.send(request(`${method} /v1/models`));
    const received = await client.waitFor(method === 'GET' ? '"b"]' : '\r\n\r\n');
    assert.match(received, /^HTTP\/1.1 20[04]/);
    assert.equal([...received.matchAll(/content-length/gi)].length, method === 'OPTIONS' ? 0 : 1);
  }
  assert.equal(server.inFlight, 0);
});

test('An answer that says nothing has changed tells no length', async (t) => {
  const unchanged = operation('GET', '/file', () => undefined, { encode: () => ({ status: 304, contentType: '', headers: { etag: '"a"' }, body: '' }) });
  const { server } = await serve(t, [unchanged, echo]);
  const client = new RawClient(t, server.port).send(request('GET /file'));
  const head = await client.waitFor('\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 304 /);
  assert.doesNotMatch(head, /content-length/i);
  client.send(request('POST /echo', [], 'next'));
  await client.waitFor('"next"');
});

test('OPTIONS says which methods there are', async (t) => {
  const { url } = await serve(t, all);
  const answered = await fetch(`${url}/v1/models`, { method: 'OPTIONS' });
  assert.equal(answered.status, 204);
  assert.equal(answered.headers.get('allow'), 'GET, HEAD, POST, OPTIONS');
  assert.equal(answered.headers.get('access-control-allow-origin'), null);
});

test('A client keeps its request id when it is one, else it gets a new one', async (t) => {
  const { url } = await serve(t, [list]);
  const ask = async (id: string): Promise<string | null> =>
    (await fetch(`${url}/v1/models`, { headers: { 'x-request-id': id } })).headers.get('x-request-id');
  for (const id of ['a', 'req_1:2.3-4', 'x'.repeat(64)]) assert.equal(await ask(id), id);
  const made = await Promise.all(['', 'x'.repeat(65), 'a b', 'a/b', '"'].map(ask));
  for (const id of made) assert.match(id ?? '', /^[0-9a-f]{8}-/);
  assert.equal(new Set(made).size, made.length);
});

test('Every answer says where the time went', async (t) => {
  const timed = operation('GET', '/timed', (_text, call) => {
    Object.assign(call.timings, { queueMs: 1.25, tokenizeMs: 0, inferenceMs: 12 });
    return 'x';
  });
  const { url } = await serve(t, [timed, list]);
  const { headers } = await fetch(`${url}/timed`);
  const timing = headers.get('server-timing') ?? '';
  assert.match(timing, /^queue;dur=1.3, tokenize;dur=0, inference;dur=12, total;dur=\d+(\.\d)?$/);
  assert.match(headers.get('openai-processing-ms') ?? '', /^\d+$/);
  assert.match((await fetch(`${url}/v1/models`)).headers.get('server-timing') ?? '', /^total;dur=/);
  assert.match((await fetch(`${url}/nowhere`)).headers.get('server-timing') ?? '', /^total;dur=/);
});

test('A body on GET is thrown away, and the connection goes on', async (t) => {
  const { server } = await serve(t, [list, echo]);
  const client = new RawClient(t, server.port);
  client.send(request('GET /v1/models', [], 'ignored') + request('POST /echo', [], 'next'));
  assert.match(await client.waitFor('next'), /\["a","b"\]/);
  const chunked = request('GET /v1/models', ['Transfer-Encoding: chunked'], '3\r\nabc\r\n0\r\n\r\n');
  client.send(chunked + request('POST /echo', [], 'again'));
  await client.waitFor('again');
});

test('Bytes of a view are sent as they are', async (t) => {
  const bytes = Buffer.from([0, 1, 2, 250, 251, 252]).subarray(1, 5);
  const binary = operation('GET', '/bytes', () => undefined, {
    encode: () => ({ status: 200, contentType: 'application/octet-stream', body: bytes }),
  });
  const { url } = await serve(t, [binary]);
  assert.deepEqual(Buffer.from(await (await fetch(`${url}/bytes`)).arrayBuffer()), bytes);
});

test('Text is sent as UTF-8, with its length in bytes', async (t) => {
  for (const text of ['é€😀', '€'.repeat(100_000)]) {
    const unicode = operation('GET', '/text', () => undefined, {
      encode: () => ({ status: 200, contentType: 'text/plain; charset=utf-8', body: text }),
    });
    const { url } = await serve(t, [unicode]);
    assert.equal(await (await fetch(`${url}/text`)).text(), text);
    const headed = await fetch(`${url}/text`, { method: 'HEAD' });
    assert.equal(headed.headers.get('content-length'), String(Buffer.byteLength(text)));
  }
});
