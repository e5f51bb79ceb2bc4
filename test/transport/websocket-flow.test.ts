// Readers that are slow, gone, or come back; raw data both ways.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Authorize, Call } from '../../src/operation.ts';
import type { StreamEvent } from '../../src/operation/events.ts';
import { counting, item, serveSockets, streaming, summary, type TestSocket } from './socket-support.ts';
import { until } from '../support/until.ts';
import { Gate, json, operation } from './support.ts';

const echo = operation('POST', '/echo', (body) => body, { name: 'echo', decodeBody: (body: unknown) => body });

async function* untilCancelled({ signal }: Call): AsyncGenerator<readonly StreamEvent[]> {
  await once(signal, 'abort');
  yield [];
}

/** A kilobyte an item: many times what sockets and the server hold for a reader. */
const many = { count: 20_000, size: 1000 };

test('a slow reader holds back its own items and nobody else', async (t) => {
  const made = { items: 0 };
  const { connect } = await serveSockets(t, [counting(made), echo], { requestTimeoutMs: 20_000 });
  const [slow, other] = [await connect(), await connect()];
  await slow.next('hello');
  slow.socket.pause();
  slow.send({ id: '1', op: 'count', body: many });
  await until(() => made.items > 100, 'it began');
  await sleep(300);
  const before = made.items;
  assert.ok(before < many.count, `${before} made`);
  other.send({ id: '1', op: 'echo', body: 'quick' });
  await other.end('1');
  await sleep(200);
  assert.equal(made.items, before, 'no more is made until it reads');
  slow.socket.resume();
  await until(() => slow.of('1', 'summary').length === 1, 'all came', 20_000);
  assert.deepEqual(slow.of('1', 'item').map(({ n }) => n), Array.from({ length: many.count }, (_, i) => i + 1));
});

test('who reads nothing and makes the server talk is cut off', async (t) => {
  const { connect, server } = await serveSockets(t, [echo]);
  const client = await connect();
  await client.next('hello');
  client.socket.pause();
  const nonsense = 'x'.repeat(100);
  for (let n = 0; n < 400 && server.connections > 0; n++) {
    for (let i = 0; i < 500; i++) client.socket.send(nonsense);
    await sleep(5);
  }
  await until(() => server.connections === 0, 'the server cut it off');
});

test('a request whose connection is cut off while it begins waits for another one, as others do', { timeout: 60_000 }, async (t) => {
  let begun = 0;
  const waiting = streaming('waiting', (_input, call) => {
    begun += 1;
    return untilCancelled(call);
  });
  const { server, connect, ended } = await serveSockets(t, [waiting, counting()]);
  // The cut comes with some word of the server's: in half of the tries that the request was accepted.
  for (let tries = 0; tries < 6; tries++) {
    const client = await connect();
    await client.next('hello');
    client.socket.pause();
    client.send({ id: 'full', op: 'count', body: { count: 1000, size: 60_000 } });
    for (let n = 0; n < 400 && server.connections > 0; n++) {
      for (let i = 0; i < 200; i++) client.send({ id: `${n}.${i}`, op: 'waiting', body: {}, resumable: true }).send({ id: `${n}.${i}`, op: 'cancel' });
      await sleep(5);
    }
    await until(() => server.connections === 0, 'the server cut it off');
    const told = (): number => ended.filter(({ operation: name }) => name === 'waiting').length;
    await until(() => told() + server.inFlight === begun, `each of ${begun} has been told of or waits`, 2000);
  }
});

test('who reads nothing does not hold up draining', async (t) => {
  const made = { items: 0 };
  const { connect, server, ended } = await serveSockets(t, [counting(made)], { requestTimeoutMs: 60_000 });
  const [stuck, slow] = [await connect(), await connect()];
  await stuck.next('hello');
  await slow.next('hello');
  stuck.socket.pause();
  stuck.send({ id: '1', op: 'count', body: many });
  await until(() => made.items > 100, 'it began');
  slow.send({ id: '1', op: 'count', body: many });
  await slow.next('item');
  await server.drain();
  assert.equal(server.connections, 0);
  assert.deepEqual(ended.map(({ error }) => error?.code), [undefined, 'CANCELLED'], 'who reads has got everything');
  await until(() => slow.of('1', 'summary').length === 1, 'all came');
  assert.equal((await slow.waitClosed()).code, 1001);
});

test('HTTP does not wait for connections that became WebSockets', async (t) => {
  const { connect, http } = await serveSockets(t, [echo]);
  const [open, gone] = [await connect(), await connect()];
  gone.socket.close();
  await gone.waitClosed();
  let looks = 0;
  const look = setInterval(() => { looks += 1; }, 10);
  await http.drain();
  clearInterval(look);
  assert.ok(looks < 25, `${looks} looks: as many as idle connections get`);
  assert.equal(open.closed, undefined);
});

test('a reader that leaves ends what it asked for', async (t) => {
  const made = { items: 0 };
  const { connect, server, ended } = await serveSockets(t, [counting(made)]);
  const client = await connect();
  client.send({ id: '1', op: 'count', body: many });
  await client.next('item');
  client.socket.terminate();
  await until(() => server.inFlight === 0 && ended.length === 1, 'it ended');
  assert.ok(made.items < many.count);
  assert.equal(ended[0]?.error?.code, 'CANCELLED');
});

async function brokenOff(client: TestSocket, items: number): Promise<string> {
  const job = (await client.next('accepted'))['job'] as string;
  await client.next('item', items);
  client.socket.terminate();
  return job;
}

test('a request goes on after a lost connection, without a gap and without repeats', async (t) => {
  const { connect, server, ended } = await serveSockets(t, [counting()], { requestTimeoutMs: 20_000 });
  const first = await connect();
  first.send({ id: '1', op: 'count', resumable: true, body: { count: 5000, size: 1000 } });
  const job = await brokenOff(first, 100);
  const seen = first.of('1', 'item').map(({ seq, n }) => [seq, n]);
  await until(() => server.connections === 0, 'the server noticed');
  assert.equal(server.inFlight, 1, 'it waits');
  let after = seen.at(-1)![0] as number;
  const second = await connect();
  second.send({ id: 'again', op: 'resume', job, after });
  while (second.of('again', 'summary').length === 0) {
    const last = second.of('again').at(-1)?.['seq'] as number | undefined;
    if (last !== undefined && last !== after) second.send({ id: 'again', op: 'ack', seq: (after = last) });
    await sleep(5);
  }
  second.send({ id: 'again', op: 'ack', seq: 5001 });
  const all = [...seen, ...second.of('again', 'item').map(({ seq, n }) => [seq, n])];
  assert.deepEqual(all, Array.from({ length: 5000 }, (_, i) => [i + 1, i + 1]));
  await until(() => server.inFlight === 0, 'nothing is left');
  assert.deepEqual(ended.map(({ status }) => status), [200]);
  second.send({ id: 'late', op: 'resume', job, after: 0 });
  assert.equal((await second.end('late'))['error'].code, 'JOB_NOT_FOUND');
});

test('a resumable request is made no further ahead than its reader has acknowledged', async (t) => {
  const made = { items: 0 };
  const { connect } = await serveSockets(t, [counting(made)]);
  const client = await connect();
  client.send({ id: '1', op: 'count', resumable: true, body: many });
  await until(() => client.of('1', 'item').length > 900, 'a megabyte came');
  await sleep(100);
  const before = made.items;
  assert.ok(before < 1200, `${before} made`);
  client.send({ id: '1', op: 'ack', seq: 500 });
  await until(() => made.items >= before + 400, 'as much more is made');
});

test('nobody else can go on with a request, nor from where its parts are gone', async (t) => {
  const authorize: Authorize = (_operation, header) => ({ name: header('x-api-key'), scopes: new Set(['infer']) });
  const { connect } = await serveSockets(t, [counting()], { authorize });
  const owner = await connect({ headers: { 'x-api-key': 'owner' } });
  owner.send({ id: '1', op: 'count', resumable: true, body: many });
  await owner.next('item', 40);
  owner.send({ id: '1', op: 'ack', seq: 40 }).send({ id: 'p', op: 'ping' });
  await owner.next('pong');
  const job = await brokenOff(owner, 41);
  const other = await connect({ headers: { 'x-api-key': 'other' } });
  other.send({ id: '1', op: 'resume', job, after: 40 });
  assert.equal((await other.end('1'))['error'].code, 'JOB_NOT_FOUND');
  const again = await connect({ headers: { 'x-api-key': 'owner' } });
  for (const [id, after] of [['a', 39], ['b', 1e9], ['c', undefined]]) {
    again.send({ id, op: 'resume', job, after });
    assert.equal((await again.end(id as string))['error'].code, 'JOB_NOT_FOUND');
  }
  again.send({ id: 'd', op: 'resume', job, after: 40 });
  await until(() => again.of('d', 'item').length > 0, 'it goes on');
  assert.equal(again.of('d', 'item')[0]!['n'], 41);
  const third = await connect({ headers: { 'x-api-key': 'owner' } });
  third.send({ id: 'e', op: 'resume', job, after: 41 });
  assert.equal((await again.end('d'))['error'].code, 'CANCELLED', 'it was taken over');
});

test('a request that goes on elsewhere takes its room there, and none where it was', async (t) => {
  const gate = new Gate();
  const held = streaming('hold', async function* () {
    await gate.pass();
    yield [summary()];
  });
  const { connect, server } = await serveSockets(t, [held]);
  const [first, second] = [await connect(), await connect()];
  const max = (await first.next('hello'))['requests_max'] as number;
  for (let i = 0; i < max; i++) first.send({ id: `${i}`, op: 'hold', resumable: true, body: {} });
  await first.next('accepted', max);
  const jobs = first.messages.filter(({ type }) => type === 'accepted').map(({ job }) => job as string);
  const refusal = async (client: TestSocket, message: object) => {
    client.send({ id: 'refused', ...message });
    return (await client.end('refused'))['error'].code as string;
  };
  assert.equal(await refusal(first, { op: 'hold', body: {} }), 'QUEUE_FULL');
  first.send({ id: 'same', op: 'resume', job: jobs[0], after: 0 });
  assert.equal((await first.end('0'))['error'].code, 'CANCELLED', 'it has another id, and the same room');
  for (const [i, job] of jobs.entries()) second.send({ id: `${i}`, op: 'resume', job, after: 0 });
  await first.next('error', 1 + 1 + max);
  for (let i = 0; i < max; i++) first.send({ id: `new-${i}`, op: 'hold', resumable: true, body: {} });
  const job = (await first.next('accepted', max + max))['job'] as string;
  assert.equal(server.inFlight, max + max);
  assert.equal(await refusal(second, { op: 'hold', body: {} }), 'QUEUE_FULL');
  second.send({ id: 'moved', op: 'resume', job, after: 0 });
  assert.equal((await second.end('moved'))['error'].code, 'QUEUE_FULL');
  gate.open();
  assert.equal((await first.end(`new-${max - 1}`)).type, 'summary', 'what the other could not take stayed');
  await second.next('summary', max);
  for (let i = 0; i < max; i++) second.send({ id: `${i}`, op: 'ack', seq: 1 });
  second.send({ id: 'moved-again', op: 'resume', job, after: 0 });
  assert.equal((await second.end('moved-again')).type, 'summary');
});

test('raw data goes into the fields that it names, and comes out beside the JSON', async (t) => {
  const reverse = streaming('reverse', async function* ({ a, list }: any) {
    const data = Buffer.from(a.data as Uint8Array).reverse();
    yield [{ ...item({ shape: a.shape, first: list[1].b.datatype }), data: [data, new Uint8Array(8)] }, summary()];
  });
  const raw = operation('GET', '/raw', () => undefined, {
    name: 'raw', encode: () => ({ status: 200, contentType: 'application/octet-stream', body: new Uint8Array([7, 8]) }),
  });
  const { connect } = await serveSockets(t, [reverse, raw, echo]);
  const client = await connect();
  const tensors = [
    { name: 'a', datatype: 'uint8', shape: [3], offset: 1, bytes: 3 },
    { name: '/list/1/b', datatype: 'int8', shape: [1], offset: 0, bytes: 1 },
  ];
  client.sendBinary({ id: '1', op: 'reverse', body: { list: [{}, {}] }, tensors }, new Uint8Array([9, 1, 2, 3]));
  await client.end('1');
  const at = client.messages.findIndex(({ type }) => type === 'item');
  assert.deepEqual([client.messages[at]!['shape'], client.messages[at]!['first']], [[3], 'int8']);
  assert.deepEqual([...client.data.get(at)!], [3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  client.send({ id: '2', op: 'raw' });
  assert.equal((await client.end('2'))['content_type'], 'application/octet-stream');
  assert.deepEqual([...client.data.get(client.messages.length - 1)!], [7, 8]);
  const wrong = [
    { name: 'a', offset: 0, bytes: 5 }, { name: 'a', offset: -1, bytes: 1 }, { name: '/no/such', offset: 0, bytes: 1 },
    { name: 7, offset: 0, bytes: 1 }, { name: '/list/7', offset: 0, bytes: 1 }, null, { name: 'a' }, { name: 'a', offset: 0.5, bytes: 1 },
  ];
  for (const [n, tensor] of wrong.entries()) {
    client.sendBinary({ id: `w${n}`, op: 'echo', body: { list: [] }, tensors: [tensor] }, new Uint8Array(4));
    assert.match((await client.end(`w${n}`))['error'].field, /^tensors\[0\]/);
  }
  const both = [{ name: 'a', offset: 0, bytes: 3 }, { name: 'b', offset: 1, bytes: 2 }];
  client.sendBinary({ id: 'o', op: 'echo', tensors: both }, new Uint8Array(4));
  assert.match((await client.end('o'))['error'].field, /^tensors\[1\]/);
  client.sendBinary({ id: 'p', op: 'echo', tensors: [{ name: '__proto__', offset: 0, bytes: 1 }] }, new Uint8Array(1));
  await client.end('p');
  assert.equal(({} as { data?: unknown }).data, undefined);
});

test('answers made while they are sent come in pieces', async (t) => {
  const gate = new Gate();
  async function* chunks(): AsyncGenerator<string> {
    yield 'data: one\n\n';
    await gate.pass();
    yield 'data: two\n\n';
  }
  const stream = operation('POST', '/sse', () => undefined, {
    name: 'sse', encode: () => ({ status: 200, contentType: 'text/event-stream', body: { chunks: chunks() } }),
  });
  const { connect } = await serveSockets(t, [stream, operation('GET', '/json', () => ({ a: 1 }), { encode: (output) => json(output) })]);
  const client = await connect();
  client.send({ id: '1', op: 'sse', body: {} });
  assert.equal((await client.next('chunk'))['text'], 'data: one\n\n');
  gate.open();
  assert.equal((await client.end('1')).type, 'summary');
  assert.deepEqual(client.of('1').map(({ type }) => type), ['chunk', 'chunk', 'summary']);
});
