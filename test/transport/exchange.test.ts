// What goes wrong between a request and its answer: bugs in operations, clients that leave, deadlines.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorTable, ServerError, type ErrorCode } from '../../src/errors.ts';
import type { AnyOperation, Call } from '../../src/operation.ts';
import { until } from '../support/until.ts';
import { echo, Gate, operation, RawClient, request, serve, statuses } from './support.ts';

const boom = (): never => { throw new Error('the secret reason'); };

const bugs: Record<string, Partial<AnyOperation>> = {
  decode: { decode: boom },
  run: { run: boom },
  'run, later': { run: async () => { await sleep(1); boom(); } },
  encode: { encode: boom },
  'encode and encodeError': { encode: boom, encodeError: boom },
  'a body that is none': { encode: () => ({ status: 200, contentType: 'text/plain', body: undefined as never }) },
  'no reply': { encode: () => undefined as never },
};

for (const [where, bug] of Object.entries(bugs)) {
  test(`A bug in ${where} costs one request, not the server`, async (t) => {
    const { server, url } = await serve(t, [operation('POST', '/bug', (text) => text, bug), echo]);
    const answered = await fetch(`${url}/bug`, { method: 'POST', body: 'x' });
    assert.equal(answered.status, 500);
    assert.match(answered.headers.get('x-request-id') ?? '', /./);
    const text = await answered.text();
    assert.match(text, /INTERNAL/);
    assert.doesNotMatch(text, /secret/);
    assert.equal(await (await fetch(`${url}/echo`, { method: 'POST', body: 'x' })).json(), 'x');
    assert.equal(server.inFlight, 0);
    assert.equal(server.bodyBytesInFlight, 0);
  });
}

test('A bug that shows only while the answer is written closes the connection', async (t) => {
  const headers = { get 'x-late'(): string { return boom(); } };
  const late = operation('GET', '/late', () => undefined, {
    encode: () => ({ status: 200, contentType: 'text/plain', headers, body: 'x' }),
  });
  const { server, url } = await serve(t, [late, echo]);
  await assert.rejects(fetch(`${url}/late`));
  assert.equal(server.inFlight, 0);
  assert.equal((await fetch(`${url}/echo`, { method: 'POST', body: 'x' })).status, 200);
});

test('A bug in the observer fails no request', async (t) => {
  const warnings: string[] = [];
  const listener = (warning: Error): void => { warnings.push(warning.message); };
  process.on('warning', listener);
  t.after(() => process.off('warning', listener));
  const { url } = await serve(t, [echo], { observer: { ended: boom } });
  assert.equal((await fetch(`${url}/echo`, { method: 'POST', body: 'x' })).status, 200);
  assert.equal((await fetch(`${url}/nowhere`)).status, 404);
  await until(() => warnings.length === 2, 'both warnings came');
});

test('A bug in the error shape of a path without operation is answered', async (t) => {
  const { url } = await serve(t, [echo], { errorShapes: [{ prefix: '/', encodeError: boom }] });
  const answered = await fetch(`${url}/nowhere`);
  assert.equal(answered.status, 500);
  const error = { message: 'The server failed; its log has the cause.', code: 'INTERNAL' };
  assert.deepEqual(await answered.json(), { error });
});

test('The observer is told of a bug with its cause', async (t) => {
  const { url, ended } = await serve(t, [operation('POST', '/bug', boom)]);
  await fetch(`${url}/bug`, { method: 'POST', body: 'x' });
  assert.equal(ended.length, 1);
  assert.equal(ended[0]?.error?.code, 'INTERNAL');
  assert.equal((ended[0]?.error?.cause as Error).message, 'the secret reason');
});

test('A client that leaves while its body comes ends the call, and its bytes are given back', async (t) => {
  const { server, ended } = await serve(t, [echo]);
  const client = new RawClient(t, server.port).send(request('POST /echo', ['Content-Length: 1000'], 'x'.repeat(500)));
  await until(() => server.bodyBytesInFlight === 500, 'half of the body came');
  assert.equal(server.inFlight, 1);
  client.socket.destroy();
  await until(() => server.inFlight === 0, 'the call ended');
  assert.equal(server.bodyBytesInFlight, 0);
  assert.deepEqual(ended.map(({ error, status }) => [error?.code, status]), [['CANCELLED', 499]]);
});

test('A client that leaves while its call runs cancels it, and nothing is encoded for it', async (t) => {
  const gate = new Gate();
  let call: Call | undefined;
  let encoded = 0;
  const held = operation('POST', '/held', async (text, its) => { call = its; await gate.pass(); return text; }, {
    encode: () => { encoded += 1; return { status: 200, contentType: 'text/plain', body: '' }; },
  });
  const { server, ended } = await serve(t, [held]);
  const client = new RawClient(t, server.port).send(request('POST /held', [], 'body'));
  await until(() => gate.waiting === 1, 'the call runs');
  assert.equal(call?.cancelled, false);
  client.socket.destroy();
  await until(() => call?.cancelled === true, 'the call is cancelled');
  assert.equal(server.inFlight, 0);
  assert.equal(server.bodyBytesInFlight, 4, 'what runs still holds its input');
  gate.open();
  await until(() => ended.length === 1, 'the observer was told');
  assert.equal(ended[0]?.error?.code, 'CANCELLED');
  assert.equal(encoded, 0);
  assert.equal(server.bodyBytesInFlight, 0);
});

test('A client that leaves while its answer is sent frees it', async (t) => {
  const body = Buffer.alloc(30_000_000, 'x');
  const big = operation('GET', '/big', () => undefined, {
    encode: () => ({ status: 200, contentType: 'application/octet-stream', body }),
  });
  const { server } = await serve(t, [big]);
  const client = new RawClient(t, server.port);
  client.socket.pause();
  client.send(request('GET /big'));
  await until(() => server.inFlight === 1, 'the call runs');
  await sleep(50);
  assert.equal(server.inFlight, 1, 'the answer waits for the client');
  client.socket.destroy();
  await until(() => server.inFlight === 0, 'the answer was given up');
});

test('Two thousand clients that leave at any moment leave nothing behind', { timeout: 60_000 }, async (t) => {
  const random = operation('POST', '/random', async (text) => { await sleep(text.length % 7); return text; });
  const { server, url } = await serve(t, [random]);
  const full = request('POST /random', [], 'x'.repeat(200));
  for (let round = 0; round < 100; round += 1) {
    await Promise.all(Array.from({ length: 20 }, async (_, index) => {
      const client = new RawClient(t, server.port).send(full.slice(0, 1 + ((round * 37 + index * 101) % full.length)));
      await sleep(index % 5);
      client.socket.destroy();
    }));
  }
  await until(() => server.inFlight === 0 && server.bodyBytesInFlight === 0, 'everything was given back');
  assert.equal((await fetch(`${url}/random`, { method: 'POST', body: 'x' })).status, 200);
});

test('At the deadline the call is answered and cancelled, and what it gives later is dropped', async (t) => {
  const gate = new Gate();
  let call: Call | undefined;
  const held = operation('GET', '/held', async (_text, its) => { call = its; await gate.pass(); return 'late'; });
  const { server, url, ended } = await serve(t, [held], { requestTimeoutMs: 40 });
  const answered = await fetch(`${url}/held`);
  assert.equal(answered.status, 504);
  assert.equal((await answered.json() as { code: string }).code, 'TIMEOUT');
  assert.equal(call?.cancelled, true);
  gate.open();
  await sleep(10);
  assert.deepEqual(ended.map(({ error }) => error?.code), ['TIMEOUT']);
  assert.equal(server.inFlight, 0);
});

test('One request gets one answer, however often it fails', async (t) => {
  const failing = operation('POST', '/failing', async () => { await sleep(30); throw new ServerError('QUEUE_FULL'); });
  const { server, ended } = await serve(t, [failing], { requestTimeoutMs: 10 });
  const client = new RawClient(t, server.port).send(request('POST /failing', [], 'x'));
  await client.waitFor('TIMEOUT');
  await sleep(60);
  assert.deepEqual(statuses(client.received), [504]);
  assert.equal(ended.length, 1);
});

test('An error says when to come back, in seconds and in milliseconds', async (t) => {
  const full = operation('GET', '/full', () => {
    throw new ServerError('QUEUE_FULL', undefined, { retryAfterMs: 1200.5 });
  });
  const { url } = await serve(t, [full]);
  const { status, headers } = await fetch(`${url}/full`);
  assert.equal(status, 429);
  assert.equal(headers.get('retry-after'), '2');
  assert.equal(headers.get('retry-after-ms'), '1201');
});

test('Every error that may pass says when to come back, and no other one', async (t) => {
  const failing = operation('GET', '/fail/:code', () => undefined, {
    decode: (_bytes, call) => { throw new ServerError(call.parameters['code'] as ErrorCode); },
  });
  const { url } = await serve(t, [failing]);
  for (const [code, { retry }] of Object.entries(errorTable)) {
    const { headers } = await fetch(`${url}/fail/${code}`);
    assert.equal(headers.has('retry-after'), retry, code);
  }
});

test('A header value that is not printable ASCII is left out', async (t) => {
  const sent = { 'x-a': 'a\r\nx-injected: 1', 'x-b': 'naïve', 'x-c': 'fine' };
  const odd = operation('GET', '/odd', () => undefined, {
    encode: () => ({ status: 200, contentType: 'text/plain', headers: sent, body: 'x' }),
  });
  const { url } = await serve(t, [odd]);
  const { headers } = await fetch(`${url}/odd`);
  const got = ['x-a', 'x-b', 'x-injected', 'x-c'].map((name) => headers.get(name));
  assert.deepEqual(got, [null, null, null, 'fine']);
});
