// What comes over the wire that no well-behaved client sends, and what uWebSockets.js and we make of it together.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { echo, operation, RawClient, request, serve, statuses } from './support.ts';

const ok = operation('GET', '/ok', () => 'ok');
const slow = operation('GET', '/slow', async () => { await sleep(50); return 'slow'; });
const item = operation('GET', '/items/*', (_text, call) => call.parameters['*']);

const hidden = request('GET /ok');

/** Requests about whose end two readers may disagree: refused, and nothing after them is taken for a request. */
const chunks = '4\r\nabcd\r\n0\r\n\r\n';
const invalid = { status: 400, code: 'FRAMING_INVALID' };
const unsupported = { status: 501, code: 'TRANSFER_UNSUPPORTED' };
const chunked = 'Transfer-Encoding: chunked';
const untrusted: { what: string; head: string[]; body: string; status: number; code: string }[] = [
  { what: 'two lengths', head: ['Content-Length: 4', 'Content-Length: 5'], body: 'abcd', ...invalid },
  { what: 'the same length twice', head: ['Content-Length: 4', 'Content-Length: 4'], body: 'abcd', ...invalid },
  { what: 'an empty length', head: ['Content-Length: '], body: '', ...invalid },
  { what: 'two hosts', head: ['Host: other', 'Content-Length: 4'], body: 'abcd', ...invalid },
  { what: 'gzip, chunked', head: ['Transfer-Encoding: gzip, chunked'], body: chunks, ...unsupported },
  { what: 'identity', head: ['Transfer-Encoding: identity'], body: chunks, ...unsupported },
  { what: 'chunked twice', head: [chunked, chunked], body: chunks, ...unsupported },
];

for (const { what, head, body, status, code } of untrusted) {
  test(`A request with ${what} is refused and its connection closed`, async (t) => {
    const { server, ended } = await serve(t, [echo, ok]);
    const received = await new RawClient(t, server.port).send(request('POST /echo', head, body)).waitClosed();
    assert.deepEqual(statuses(received), [status]);
    assert.match(received, new RegExp(`"code":"${code}"`));
    assert.match(received, /connection: close/i);
    assert.deepEqual(ended.map(({ error }) => error?.code), [code]);
    assert.equal(server.inFlight, 0);
  });

  test(`A request hidden behind one with ${what} does not run`, async (t) => {
    const { server, ended } = await serve(t, [echo, ok]);
    await new RawClient(t, server.port).send(request('POST /echo', head, body) + hidden).waitClosed();
    assert.deepEqual(ended.filter(({ operation: name }) => name === 'GET /ok'), []);
  });
}

test('A length that is no number is refused', async (t) => {
  for (const value of ['4, 4', '-4', '+4', '0x4', '4 4', '99999999999999999999']) {
    const { server, ended } = await serve(t, [echo, ok]);
    const bytes = request('POST /echo', [`Content-Length: ${value}`], 'abcd') + hidden;
    const received = await new RawClient(t, server.port).send(bytes).waitClosed();
    assert.deepEqual(statuses(received), [400], value);
    assert.deepEqual(ended.filter(({ status }) => status === 200), [], value);
    assert.equal(server.inFlight, 0);
  }
});

test('A length beside chunks is refused', async (t) => {
  const { server, ended } = await serve(t, [echo, ok]);
  const bytes = request('POST /echo', ['Content-Length: 4', chunked], '0\r\n\r\n') + hidden;
  const received = await new RawClient(t, server.port).send(bytes).waitClosed();
  assert.deepEqual(statuses(received), [400]);
  assert.deepEqual(ended, []);
});

test('Chunked is a transfer encoding in any case of letters', async (t) => {
  const { server } = await serve(t, [echo]);
  const client = new RawClient(t, server.port);
  client.send(request('POST /echo', ['Transfer-Encoding: CHUNKED'], '4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n'));
  assert.match(await client.waitFor('abcdefg'), /^HTTP\/1.1 200/);
});

test('What uWebSockets.js refuses by itself never reaches an operation', async (t) => {
  const rows: [what: string, bytes: string, status: number][] = [
    ['HTTP/1.0', 'GET /ok HTTP/1.0\r\nHost: x\r\n\r\n', 505],
    ['no Host', 'GET /ok HTTP/1.1\r\nAccept: x\r\n\r\n', 400],
    ['absolute form', 'GET http://x/ok HTTP/1.1\r\nHost: x\r\n\r\n', 505],
    ['a space in the path', 'GET /o k HTTP/1.1\r\nHost: x\r\n\r\n', 505],
    ['TLS on a plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(64, '\x01') + '\r\n\r\n', 505],
    ['more than a hundred headers', request('GET /ok', Array.from({ length: 120 }, () => 'A: b')), 431],
    ['headers over 16 KiB', request('GET /ok', [`X-Large: ${'x'.repeat(17_000)}`]), 431],
  ];
  const { server, ended } = await serve(t, [ok]);
  for (const [what, bytes, status] of rows) {
    assert.deepEqual(statuses(await new RawClient(t, server.port).send(bytes).waitClosed()), [status], what);
  }
  assert.deepEqual(ended, []);
});

test('Headers of 15 KiB are taken, as single sign-on and tracing send them', async (t) => {
  const { server } = await serve(t, [ok]);
  const client = new RawClient(t, server.port).send(request('GET /ok', [`Cookie: ${'x'.repeat(15_000)}`]));
  assert.deepEqual(statuses(await client.waitFor('"ok"')), [200]);
});

// Side by side: both wait for uWebSockets.js, which gives up after ten seconds.
describe('A client that stands still', { concurrency: true }, () => {
  test('A head that stops halfway or is malformed is closed by the idle timeout', { timeout: 20_000 }, async (t) => {
    const { server, ended } = await serve(t, [ok]);
    const rests = ['', 'A : b\r\n\r\n', 'A: b\r\n c\r\n\r\n'];
    const clients = rests.map((rest) => new RawClient(t, server.port).send(`GET /ok HTTP/1.1\r\nHost: x\r\n${rest}`));
    await Promise.all(clients.map((client) => client.waitClosed(15_000)));
    assert.deepEqual(ended, []);
  });

  test('A body that drips is given up by the throughput floor, and the call is told', { timeout: 20_000 }, async (t) => {
    const { server, ended } = await serve(t, [echo]);
    const client = new RawClient(t, server.port).send(request('POST /echo', ['Content-Length: 1000']));
    const drip = setInterval(() => client.send('x'), 500);
    t.after(() => clearInterval(drip));
    await client.waitClosed(15_000);
    assert.deepEqual(ended.map(({ error }) => error?.code), ['CANCELLED']);
    assert.equal(server.inFlight, 0);
    assert.equal(server.bodyBytesInFlight, 0);
  });
});

test('Requests sent ahead are answered in order while the operations do not wait', async (t) => {
  const { server } = await serve(t, [echo, ok]);
  const client = new RawClient(t, server.port);
  client.send(request('POST /echo', [], 'one') + request('GET /ok') + request('POST /echo', [], 'two'));
  const received = await client.waitFor('two');
  assert.deepEqual(statuses(received), [200, 200, 200]);
  assert.ok(received.indexOf('one') < received.indexOf('"ok"'));
});

test('A request sent ahead while an operation waits closes the connection without a wrong answer', async (t) => {
  const { server, ended } = await serve(t, [slow, ok]);
  const received = await new RawClient(t, server.port).send(request('GET /slow') + request('GET /ok')).waitClosed();
  assert.equal(received, '');
  await sleep(80);
  assert.deepEqual(ended.map(({ error }) => error?.code), ['CANCELLED']);
  assert.equal(server.inFlight, 0);
});

test('Expect: 100-continue is answered before the body', async (t) => {
  const { server } = await serve(t, [echo]);
  const head = request('POST /echo', ['Content-Length: 4', 'Expect: 100-continue']);
  const client = new RawClient(t, server.port).send(head);
  await client.waitFor('HTTP/1.1 100 Continue');
  client.send('abcd');
  assert.deepEqual(statuses(await client.waitFor('abcd')), [100, 200]);
});

test('A client id, an origin and header names cannot write into the answer', async (t) => {
  const { server } = await serve(t, [ok], { cors: { enabled: true, origins: ['*'] } });
  // A line end inside a value would end the header for uWebSockets.js too, so these are the bytes that do arrive.
  const hostile = ['a\tb', 'a b', 'a\x80b', 'a"b', 'é', 'x'.repeat(65)];
  for (const value of hostile) {
    const bytes = request('GET /ok', [`X-Request-Id: ${value}`, `Origin: ${value}`]);
    const client = new RawClient(t, server.port).send(bytes);
    const received = await client.waitFor('"ok"');
    assert.match(received, /x-request-id: [0-9a-f-]{36}\r\n/, value);
  }
  const preflight = request('OPTIONS /ok', [
    'Origin: http://x', 'Access-Control-Request-Method: GET', 'Access-Control-Request-Headers: a\x80b',
  ]);
  const received = await new RawClient(t, server.port).send(preflight).waitFor('\r\n\r\n');
  assert.doesNotMatch(received, /access-control-allow-headers/);
});

test('A path is decoded once, and one that is no text is refused', async (t) => {
  const { server } = await serve(t, [item]);
  const rows: [path: string, status: number, value?: string][] = [
    ['org/name', 200, 'org/name'], ['org%2Fname', 200, 'org/name'], ['a%252Fb', 200, 'a%2Fb'], ['%C3%A9', 200, 'é'],
    ['a%2e%2e', 200, 'a..'], ['a%zz', 400], ['a%00b', 400], ['a%0d%0ab', 400], ['%ff', 400], ['\xff', 400], ['%', 400],
    ['', 404],
  ];
  for (const [path, status, value] of rows) {
    const client = new RawClient(t, server.port).send(request(`GET /items/${path}`));
    const received = await client.waitFor('\r\n\r\n');
    assert.deepEqual(statuses(received), [status], path);
    const text = Buffer.from(received, 'latin1').toString();
    if (value !== undefined) assert.ok(text.endsWith(JSON.stringify(value)), path);
  }
});
