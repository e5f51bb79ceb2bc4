// The WebSocket transport with toy operations: who may connect, and how requests live on one connection.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerError } from '../../src/errors.ts';
import type { AnyOperation, Authorize } from '../../src/operation.ts';
import { RateLimiter } from '../../src/transport/rate-limit.ts';
import type { RateVerdict } from '../../src/transport/rate-verdict.ts';
import { counting, item, serveSockets, streaming, summary } from './socket-support.ts';
import { until } from '../support/until.ts';
import { Gate, operation, request, RawClient, statuses } from './support.ts';

const echo = operation('POST', '/echo', (body) => body, { name: 'echo', alias: 'e', decodeBody: (body: unknown) => body });

/** Tells an item, then waits. */
function held(gate: Gate): AnyOperation {
  return streaming('held', async function* () {
    yield [item({ n: 1 })];
    await gate.pass();
    yield [item({ n: 2 }), summary()];
  });
}

test('a connection begins with what the server takes', async (t) => {
  const { connect } = await serveSockets(t, [echo]);
  const client = await connect();
  const hello = await client.next('hello');
  assert.deepEqual(
    [hello['protocol'], hello['requests_max'], hello['request_bytes_max'], hello['idle_seconds']],
    ['ortserve.v1', 64, 64 * 1024, 60],
  );
});

test('requests run at the same time, each answered item by item under its id', async (t) => {
  const gate = new Gate();
  const { connect, ended, server } = await serveSockets(t, [held(gate), counting(), echo]);
  const client = await connect();
  client.send({ id: 'slow', op: 'held', body: {} }).send({ id: 'fast', op: 'count', body: { count: 3 } });
  assert.deepEqual((await client.end('fast'))['count'], 3);
  assert.deepEqual(client.of('fast', 'item').map(({ n }) => n), [1, 2, 3]);
  assert.deepEqual(client.of('slow').map(({ type, n }) => [type, n]), [['item', 1]]);
  assert.equal(server.inFlight, 1);
  client.send({ id: 'whole', op: 'e', body: { x: 1 } });
  assert.deepEqual(await client.end('whole'), { type: 'result', id: 'whole', status: 200, body: { x: 1 } });
  gate.open();
  await client.end('slow');
  assert.deepEqual(client.of('slow').map(({ type }) => type), ['item', 'item', 'summary']);
  await until(() => server.inFlight === 0, 'nothing is left');
  assert.deepEqual(ended.map(({ operation: name, status }) => [name, status]), [['count', 200], ['echo', 200], ['held', 200]]);
});

test('what is wrong with a message harms nothing but itself', async (t) => {
  const gate = new Gate();
  const rewritten = operation('POST', '/rewritten', (text) => text, { name: 'rewritten' });
  const { connect, ended } = await serveSockets(t, [held(gate), echo, rewritten]);
  const client = await connect();
  client.send({ id: '1', op: 'held', body: {} });
  client.send({ id: '1', op: 'echo', body: {} });
  assert.match((await client.next('rejected'))['error'].message, /not finished/);
  client.socket.send('{"id":');
  assert.equal((await client.next('rejected', 2))['error'].code, 'JSON_INVALID');
  client.socket.send('[1]');
  client.send({ id: 'a b', op: 'echo' }).send({ id: '2' }).send({ op: 'echo' });
  assert.equal((await client.next('rejected', 6))['error'].field, 'id');
  client.socket.send(Buffer.from([255, 255, 255, 255, 1]));
  client.socket.send(Buffer.from([1]));
  client.socket.send(JSON.stringify({ id: 'big', op: 'echo', body: 'x'.repeat(70 * 1024) }));
  assert.equal((await client.next('rejected', 9))['error'].code, 'REQUEST_TOO_LARGE');
  client.send({ id: '3', op: 'nothing' });
  assert.equal((await client.end('3'))['error'].code, 'ROUTE_NOT_FOUND');
  client.send({ id: '4', op: 'echo' });
  assert.equal((await client.end('4'))['error'].field, 'body');
  client.socket.send(`{"id":"5","op":"rewritten","body":${'['.repeat(20_000)}${']'.repeat(20_000)}}`);
  assert.match((await client.end('5'))['error'].message, /nested too deeply/);
  client.send({ id: '9', op: 'cancel' }).send({ id: '9', op: 'ack', seq: 'x' }).send({ id: '9', op: 'ping' });
  assert.equal((await client.next('pong'))['id'], '9');
  gate.open();
  assert.equal((await client.end('1')).type, 'summary');
  assert.deepEqual(ended.map(({ error }) => error?.code), ['ROUTE_NOT_FOUND', 'REQUEST_INVALID', 'REQUEST_INVALID', undefined]);
});

test('a cancelled request ends at once, and its maker hears of it', async (t) => {
  let isClosed = false;
  const gate = new Gate();
  const endless = streaming('endless', async function* (_input, call) {
    try {
      for (let n = 0; !call.cancelled; n++) {
        yield [item({ n })];
        await gate.pass();
      }
    } finally {
      isClosed = true;
    }
  });
  const { connect, server, ended } = await serveSockets(t, [endless, echo]);
  const client = await connect();
  client.send({ id: '1', op: 'endless', body: {} });
  await client.next('item');
  client.send({ id: '1', op: 'cancel' });
  assert.equal((await client.end('1'))['error'].code, 'CANCELLED');
  gate.open();
  await until(() => isClosed, 'its maker ended');
  client.send({ id: '1', op: 'echo', body: 1 });
  await client.next('result');
  assert.equal(server.inFlight, 0);
  assert.deepEqual(ended.map(({ error }) => error?.code), ['CANCELLED', undefined]);
});

test('errors come as messages, before the first item and after it; bugs say nothing of themselves', async (t) => {
  const failing = streaming('failing', async function* ({ after }: { after: number }) {
    if (after > 0) yield [item({ n: 1 })];
    throw new ServerError('QUEUE_FULL', 'Full.', { retryAfterMs: 1234 });
  });
  const broken = streaming('broken', () => {
    throw new Error('secret');
  });
  const { connect } = await serveSockets(t, [failing, broken]);
  const client = await connect();
  client.send({ id: '1', op: 'failing', body: { after: 0 } }).send({ id: '2', op: 'failing', body: { after: 1 } });
  const error = { code: 'QUEUE_FULL', status: 429, message: 'Full.', retry: true, retry_after_ms: 1234 };
  for (const id of ['1', '2']) assert.deepEqual((await client.end(id))['error'], error);
  client.send({ id: '3', op: 'broken', body: {} });
  assert.doesNotMatch(JSON.stringify(await client.end('3')), /secret/);
});

test('a connection takes so many requests and bytes at once', async (t) => {
  const gate = new Gate();
  const { connect } = await serveSockets(t, [held(gate), echo]);
  const client = await connect();
  for (let n = 0; n < 64; n++) client.send({ id: `h${n}`, op: 'held', body: {} });
  client.send({ id: 'more', op: 'echo', body: {} });
  assert.equal((await client.end('more'))['error'].code, 'QUEUE_FULL');
  gate.open();
  await client.end('h63');
  client.send({ id: 'more2', op: 'echo', body: {} });
  assert.equal((await client.end('more2')).type, 'result');
  const other = await connect();
  const closed = new Gate();
  const { connect: connectHeld } = await serveSockets(t, [held(closed)]);
  const large = await connectHeld();
  for (let n = 0; n < 6; n++) large.send({ id: `l${n}`, op: 'held', body: 'x'.repeat(60_000) });
  assert.equal((await large.end('l5'))['error'].code, 'QUEUE_FULL');
  other.send({ id: '1', op: 'echo', body: {} });
  assert.equal((await other.end('1')).type, 'result');
});

const authorize: Authorize = (_operation, header) => {
  if (header('authorization') !== 'Bearer secret(key)') throw new ServerError('UNAUTHENTICATED');
  return { name: 'app', scopes: new Set(['infer']) };
};

test('a key is asked for before the connection, in a header or as a subprotocol', async (t) => {
  const { connect, port } = await serveSockets(t, [echo], { authorize });
  await assert.rejects(connect(), { status: 401 });
  await assert.rejects(connect({ protocols: ['ortserve.v1', 'bearer.wrong'] }), { status: 401 });
  const byHeader = await connect({ headers: { authorization: 'Bearer secret(key)' } });
  assert.equal(byHeader.socket.protocol, '');
  const bySubprotocol = await connect({ protocols: ['ortserve.v1', 'bearer.secret%28key%29'] });
  assert.equal(bySubprotocol.socket.protocol, 'ortserve.v1');
  bySubprotocol.send({ id: '1', op: 'echo', body: 1 });
  assert.equal((await bySubprotocol.end('1')).type, 'result');
  const plain = new RawClient(t, port).send(request('GET /v1/stream'));
  assert.deepEqual(statuses(await plain.waitFor('\r\n\r\n')), [401]);
});

test('pages of other origins connect only where CORS lets them call', async (t) => {
  const closed = await serveSockets(t, [echo], { cors: { enabled: true, origins: ['https://good.example'] } });
  await assert.rejects(closed.connect({ headers: { origin: 'https://bad.example' } }), { status: 403 });
  await closed.connect({ headers: { origin: 'https://good.example' } });
  await closed.connect({ headers: { origin: `http://127.0.0.1:${closed.port}` } });
  const open = await serveSockets(t, [echo], { cors: { enabled: true, origins: ['*'] } });
  await open.connect({ headers: { origin: 'https://any.example' } });
  const off = await serveSockets(t, [echo]);
  await assert.rejects(off.connect({ headers: { origin: 'https://any.example' } }), { status: 403 });
});

test('each request counts for the rate limit of its client', async (t) => {
  const rateLimiter = new RateLimiter({ requestsPerMinute: 2, trustedProxies: 0 });
  const { connect } = await serveSockets(t, [echo], { rateLimiter });
  const client = await connect();
  for (const id of ['1', '2', '3']) client.send({ id, op: 'echo', body: 1 });
  assert.equal((await client.end('3'))['error'].code, 'RATE_LIMITED');
  assert.equal((await client.end('2')).type, 'result');
});

test('a request that waits for the rate limiter can be cancelled, too', async (t) => {
  const gate = new Gate();
  class SlowLimiter extends RateLimiter {
    override async check(client: string): Promise<RateVerdict> {
      await gate.pass();
      return super.check(client);
    }
  }
  const made = { items: 0 };
  const { connect, server, ended } = await serveSockets(t, [counting(made)], { rateLimiter: new SlowLimiter({ requestsPerMinute: 10, trustedProxies: 0 }) });
  const client = await connect();
  client.send({ id: '1', op: 'count', body: { count: 3 } }).send({ id: '1', op: 'cancel' }).send({ id: '2', op: 'ping' });
  await client.next('pong');
  gate.open();
  assert.equal((await client.end('1'))['error'].code, 'CANCELLED');
  await until(() => server.inFlight === 0, 'nothing is left');
  assert.equal(made.items, 0);
  assert.deepEqual(client.of('1').map(({ type }) => type), ['error']);
  assert.deepEqual(ended.map(({ error }) => error?.code), ['CANCELLED']);
});

test('draining finishes what runs, takes no more, and closes with 1001', async (t) => {
  const gate = new Gate();
  const { connect, server, http } = await serveSockets(t, [held(gate), echo]);
  const [busy, idle] = [await connect(), await connect()];
  busy.send({ id: '1', op: 'held', body: {} });
  await busy.next('item');
  const drained = Promise.all([http.drain(), server.drain()]);
  assert.equal((await idle.waitClosed()).code, 1001);
  busy.send({ id: '2', op: 'echo', body: 1 });
  assert.equal((await busy.end('2'))['error'].code, 'OVERLOADED');
  gate.open();
  assert.equal((await busy.end('1')).type, 'summary');
  assert.deepEqual(await busy.waitClosed(), { code: 1001, reason: 'The server is shutting down.' });
  await drained;
});
