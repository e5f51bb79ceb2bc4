// Bodies: how they are put together, and the three ways of being too much.
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { ServerError } from '../../src/errors.ts';
import { ByteBudget } from '../../src/byte-budget.ts';
import { BodyCollector } from '../../src/transport/body.ts';
import { until } from '../support/until.ts';
import { echo, Gate, measure, operation, RawClient, request, serve, statuses } from './support.ts';

const chunk = (text: string): ArrayBuffer => new TextEncoder().encode(text).buffer as ArrayBuffer;
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();
const hasCode = (code: string) => (error: unknown): boolean => error instanceof ServerError && error.code === code;

test('A single chunk is handed on without a copy', () => {
  const collector = new BodyCollector(4, 100, new ByteBudget(100));
  const only = chunk('abcd');
  const body = collector.push(only, true);
  assert.equal(body?.buffer, only);
  assert.ok(collector.isView);
});

test('Chunks are put together in memory of the declared size', () => {
  const collector = new BodyCollector(6, 100, new ByteBudget(100));
  assert.equal(collector.push(chunk('abc'), false), undefined);
  const body = collector.push(chunk('def'), true);
  assert.equal(text(body), 'abcdef');
  assert.equal(body?.buffer.byteLength, 6);
  assert.ok(!collector.isView);
});

test('Chunks of unknown number are put together as they come, empty ones too', () => {
  const collector = new BodyCollector(-1, 1_000_000, new ByteBudget(1_000_000));
  const part = 'x'.repeat(1000);
  collector.push(chunk(''), false);
  for (let count = 0; count < 200; count += 1) collector.push(chunk(part), false);
  assert.equal(text(collector.push(chunk(''), true)), part.repeat(200));
});

test('Bytes are counted against the budget as they come and given back once', () => {
  const budget = new ByteBudget(10);
  const one = new BodyCollector(100, 100, budget);
  const other = new BodyCollector(-1, 100, budget);
  one.push(chunk('123456'), false);
  other.push(chunk('1234'), false);
  assert.throws(() => one.push(chunk('7'), false), hasCode('OVERLOADED'));
  assert.equal(budget.bytes, 10);
  one.release();
  one.release();
  assert.equal(budget.bytes, 4);
  other.push(chunk('56'), false);
  other.release();
  assert.equal(budget.bytes, 0);
});

test('A body may be exactly the maximum and not one byte more', async (t) => {
  const requestBytesMax = 100_000;
  const { server, url, ended } = await serve(t, [measure], { requestBytesMax });
  for (const chunked of [false, true]) {
    const send = async (length: number): Promise<Response> => fetch(`${url}/measure`, {
      method: 'POST',
      duplex: 'half',
      body: chunked ? new Blob(['x'.repeat(length)]).stream() : 'x'.repeat(length),
    } as RequestInit);
    const fits = await send(requestBytesMax);
    assert.equal((await fits.json() as { length: number }).length, requestBytesMax);
    const over = await send(requestBytesMax + 1);
    assert.equal(over.status, 413);
    assert.equal((await over.json() as { code: string }).code, 'REQUEST_TOO_LARGE');
  }
  assert.deepEqual(ended.map(({ status }) => status), [200, 413, 200, 413]);
  assert.equal(server.bodyBytesInFlight, 0);
});

test('A declared length over the maximum is refused before the body comes', async (t) => {
  const { server } = await serve(t, [echo], { requestBytesMax: 1000 });
  const client = new RawClient(t, server.port).send(request('POST /echo', ['Content-Length: 1001']));
  const received = await client.waitFor('REQUEST_TOO_LARGE');
  assert.match(received, /connection: close/i);
  assert.equal(server.inFlight, 0);
});

test('A client that sends all of a refused body before it reads still gets the answer', async (t) => {
  const { server } = await serve(t, [echo], { requestBytesMax: 1000 });
  const client = new RawClient(t, server.port);
  client.socket.pause();
  client.send(request('POST /echo', ['Content-Length: 5000000']));
  await new Promise((resolve) => client.socket.write(Buffer.alloc(5_000_000), resolve));
  client.socket.resume();
  assert.deepEqual(statuses(await client.waitFor('REQUEST_TOO_LARGE')), [413]);
  assert.equal(client.errorCode, undefined);
});

test('A declared length beyond all reason closes the connection', async (t) => {
  const { server } = await serve(t, [echo], { requestBytesMax: 1000 });
  const client = new RawClient(t, server.port).send(request('POST /echo', ['Content-Length: 99999999999']));
  assert.deepEqual(statuses(await client.waitClosed()), [413]);
});

test('Chunks over the maximum close the connection', async (t) => {
  const { server, ended } = await serve(t, [echo], { requestBytesMax: 1000 });
  const client = new RawClient(t, server.port).send(request('POST /echo', ['Transfer-Encoding: chunked']));
  for (let count = 0; count < 11; count += 1) client.send(`64\r\n${'x'.repeat(100)}\r\n`);
  assert.deepEqual(statuses(await client.waitClosed()), [413]);
  assert.equal(server.bodyBytesInFlight, 0);
  assert.deepEqual(ended.map(({ status }) => status), [413]);
});

test('Every byte of a large body arrives, whatever pieces it comes in', async (t) => {
  const { server } = await serve(t, [measure], { requestBytesMax: 10_000_000 });
  const body = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * 31) % 251));
  const expected = { length: body.length, sum: body.reduce((sum, byte) => (sum + byte) % 65_521, 0) };
  for (const chunked of [false, true]) {
    for (const piece of [7_001, 65_536, 1_000_000]) {
      const answer = await new Promise<string>((resolve, reject) => {
        const headers = chunked ? {} : { 'content-length': body.length };
        const sent = httpRequest({ port: server.port, path: '/measure', method: 'POST', headers }, (response) => {
          response.setEncoding('utf8').on('data', resolve);
        });
        sent.on('error', reject);
        for (let from = 0; from < body.length; from += piece) sent.write(body.subarray(from, from + piece));
        sent.end();
      });
      assert.deepEqual(JSON.parse(answer), expected, `${piece} ${chunked}`);
    }
  }
  assert.equal(server.bodyBytesInFlight, 0);
});

test('Bodies over the budget are refused with a time to come back, until others have ended', async (t) => {
  const gate = new Gate();
  const held = operation('POST', '/held', async (body) => { await gate.pass(); return body.length; });
  const { server, url } = await serve(t, [held], { bodyBytesInFlightMax: 1000 });
  const first = fetch(`${url}/held`, { method: 'POST', body: 'x'.repeat(900) });
  await until(() => gate.waiting === 1, 'the first runs');
  const declared = await fetch(`${url}/held`, { method: 'POST', body: 'x'.repeat(200) });
  assert.equal(declared.status, 503);
  assert.equal(declared.headers.get('retry-after'), '1');
  assert.equal((await declared.json() as { code: string }).code, 'OVERLOADED');
  const chunked = new RawClient(t, server.port);
  chunked.send(request('POST /held', ['Transfer-Encoding: chunked'], `c8\r\n${'x'.repeat(200)}\r\n`));
  assert.deepEqual(statuses(await chunked.waitClosed()), [503]);
  assert.equal(server.bodyBytesInFlight, 900);
  gate.open();
  assert.equal((await first).status, 200);
  assert.equal(server.bodyBytesInFlight, 0);
  assert.equal((await fetch(`${url}/held`, { method: 'POST', body: 'x'.repeat(900) })).status, 200);
});

test('A compressed body is refused', async (t) => {
  const { url } = await serve(t, [echo]);
  const send = (encoding: string): Promise<Response> =>
    fetch(`${url}/echo`, { method: 'POST', body: 'x', headers: { 'content-encoding': encoding } });
  assert.equal((await send('gzip')).status, 415);
  assert.equal((await send('identity, br')).status, 415);
  assert.equal((await send('Identity')).status, 200);
});

test('POST without a body is an empty body', async (t) => {
  const { url } = await serve(t, [measure]);
  const answered = await fetch(`${url}/measure`, { method: 'POST' });
  assert.equal((await answered.json() as { length: number }).length, 0);
});
