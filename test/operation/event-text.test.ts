// Events as text: server-sent events and lines of JSON.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerError } from '../../src/errors.ts';
import { Call, isStream, perform, type AnyOperation, type Reply } from '../../src/operation.ts';
import type { StreamEvent } from '../../src/operation/events.ts';

type Told = { status: number; code: string | undefined };

function operation(events: (call: Call) => AsyncIterable<readonly StreamEvent[]>): AnyOperation {
  return {
    name: 'test', method: 'POST', path: '/test', summary: '', group: 'Test', scope: 'public',
    decode: () => undefined,
    run: () => undefined,
    encode: () => ({ status: 200, contentType: 'text/plain', body: '' }),
    encodeError: (error) => ({ status: 418, contentType: 'application/json', body: JSON.stringify({ code: error.code }) }),
    streams: { wanted: () => true, events: (_input, call) => events(call) },
  };
}

async function answer(events: (call: Call) => AsyncIterable<readonly StreamEvent[]>, accept = '', timeoutMs = 1000) {
  const told: Told[] = [];
  const tested = operation(events);
  const call = new Call({ requestId: 'test', operation: tested, timeoutMs, header: () => accept });
  const { reply } = await perform(tested, new Uint8Array(0), call, { ended: (_call, { status }, error) => told.push({ status, code: error?.code }) });
  return { reply, told, call, chunks: chunksOf(reply) };
}

function chunksOf({ body }: Reply): AsyncIterator<string | Uint8Array> | undefined {
  return isStream(body) ? body.chunks[Symbol.asyncIterator]() : undefined;
}

async function rest(chunks: AsyncIterator<string | Uint8Array> | undefined): Promise<string> {
  let text = '';
  for (let step = await chunks!.next(); step.done !== true; step = await chunks!.next()) text += Buffer.from(step.value).toString();
  return text;
}

async function* two(): AsyncGenerator<readonly StreamEvent[]> {
  yield [{ event: 'item', json: '{"n":1}' }, { event: 'item', json: Buffer.from('{"n":"€"}'), data: [Buffer.from('ab'), Buffer.from('c')] }];
  yield [{ event: 'summary', json: '{}' }];
}

test('server-sent events are the default', async () => {
  const { reply, chunks, told } = await answer(two);
  assert.match(reply.contentType, /^text\/event-stream/);
  assert.equal(reply.headers?.['cache-control'], 'no-store');
  assert.equal(await rest(chunks), 'event: item\ndata: {"n":1}\n\nevent: item\ndata: {"data":"YWJj","n":"€"}\n\nevent: summary\ndata: {}\n\n');
  assert.deepEqual(told, [{ status: 200, code: undefined }]);
});

test('lines of JSON for who accepts those', async () => {
  const { reply, chunks } = await answer(two, 'application/x-ndjson, */*;q=0.1');
  assert.equal(reply.contentType, 'application/x-ndjson');
  const lines = (await rest(chunks)).trimEnd().split('\n').map((line) => JSON.parse(line) as unknown);
  assert.deepEqual(lines, [{ event: 'item', n: 1 }, { event: 'item', data: 'YWJj', n: '€' }, { event: 'summary' }]);
});

test('what fails before the first event is an answer with its status', async () => {
  const { reply, told } = await answer(async function* () {
    throw new ServerError('MODEL_NOT_FOUND');
  });
  assert.equal(reply.status, 418);
  assert.equal(reply.body, '{"code":"MODEL_NOT_FOUND"}');
  assert.deepEqual(told, [{ status: 418, code: 'MODEL_NOT_FOUND' }]);
});

test('what fails later is an event in the shape of the surface, and the last one', async () => {
  const { chunks, told } = await answer(async function* () {
    yield [{ event: 'item', json: '{}' }];
    throw new Error('a bug');
  });
  assert.equal(await rest(chunks), 'event: item\ndata: {}\n\nevent: error\ndata: {"code":"INTERNAL"}\n\n');
  assert.deepEqual(told, [{ status: 200, code: 'INTERNAL' }]);
});

test('the deadline holds for the whole stream', async () => {
  const { chunks, told, call } = await answer(async function* () {
    yield [{ event: 'item', json: '{}' }];
    await new Promise((resolve) => setTimeout(resolve, 1000).unref());
  }, '', 50);
  assert.match(await rest(chunks), /event: error\ndata: \{"code":"TIMEOUT"\}/);
  assert.equal(call.cancelled, true);
  assert.deepEqual(told.map(({ code }) => code), ['TIMEOUT']);
});

test('a reader that leaves ends what makes the events, told once', async () => {
  let isClosed = false;
  const { chunks, told, call } = await answer(async function* () {
    try {
      for (;;) yield [{ event: 'item', json: '{}' }];
    } finally {
      isClosed = true;
    }
  });
  await chunks!.next();
  await chunks!.return!();
  await chunks!.return!();
  assert.deepEqual([isClosed, call.cancelled], [true, true]);
  assert.deepEqual(told.map(({ code }) => code), ['CANCELLED']);
  assert.equal((await chunks!.next()).done, true);
});

test('a stream with nothing to say says that it is alive', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let go!: () => void;
  const { chunks } = await answer(async function* () {
    yield [{ event: 'item', json: '{}' }];
    await new Promise<void>((resolve) => (go = resolve));
    yield [{ event: 'summary', json: '{}' }];
  }, '', 60_000);
  await chunks!.next();
  const waiting = chunks!.next();
  t.mock.timers.tick(15_000);
  assert.equal((await waiting).value, ':\n\n');
  const last = chunks!.next();
  go();
  assert.match(String((await last).value), /summary/);
});
