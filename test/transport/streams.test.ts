// Bodies that are read while they come, and answers that are made while they are sent.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnyOperation, ReplyStream } from '../../src/operation.ts';
import { ServerError } from '../../src/errors.ts';
import { until } from '../support/until.ts';
import { echo, operation, RawClient, request, serve, statuses } from './support.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const big = Buffer.from(Array.from({ length: 20_000_000 }, (_, index) => (index * 7 + (index >> 8)) & 255));

function streaming(chunks: () => AsyncIterable<string | Uint8Array>, lengthBytes?: number): AnyOperation {
  return operation('GET', '/stream', () => undefined, {
    encode: () => {
      const body: ReplyStream = { chunks: chunks(), ...(lengthBytes !== undefined && { lengthBytes }) };
      return { status: 200, contentType: 'text/event-stream', body };
    },
  });
}

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('A stream is sent piece by piece as it is made', async (t) => {
  let go: (() => void) | undefined;
  async function* chunks(): AsyncGenerator<string> {
    yield 'first';
    await new Promise<void>((resolve) => (go = resolve));
    yield '';
    yield 'second';
  }
  const { server, ended } = await serve(t, [streaming(chunks), echo]);
  const client = new RawClient(t, server.port).send(request('GET /stream'));
  await client.waitFor('first');
  assert.equal(ended.length, 0);
  go!();
  const received = await client.waitFor('0\r\n\r\n');
  assert.match(received, /Transfer-Encoding: chunked/i);
  assert.match(received, /second/);
  assert.deepEqual(ended.map(({ status, error }) => [status, error]), [[200, undefined]]);
  client.send(request('POST /echo', [], 'x'));
  await client.waitFor('"x"');
  assert.equal(server.inFlight, 0);
});

for (const [kind, lengthBytes] of [['unknown', undefined], ['known', big.length]] as const) {
  test(`A slow reader gets all of a stream of ${kind} length, and it is made no faster than it reads`, async (t) => {
    let made = 0;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for await (const piece of pieces(big, 100_000)) {
        made += piece.length;
        yield piece;
      }
    }
    const { server, url, ended } = await serve(t, [streaming(chunks, lengthBytes)]);
    const answered = await fetch(`${url}/stream`);
    assert.equal(answered.headers.get('content-length'), lengthBytes === undefined ? null : String(lengthBytes));
    await sleep(200);
    assert.ok(made < big.length, 'the socket holds it back');
    const hash = createHash('sha256');
    for await (const piece of answered.body!) hash.update(piece as Uint8Array);
    assert.equal(hash.digest('hex'), sha256(big));
    await until(() => server.inFlight === 0, 'it ended');
    assert.deepEqual(ended.map(({ error }) => error), [undefined]);
  });
}

test('A client that leaves ends the stream and what makes it', async (t) => {
  let isReleased = false;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield big.subarray(0, 100_000);
    } finally {
      isReleased = true;
    }
  }
  const { server, ended } = await serve(t, [streaming(chunks)]);
  const client = new RawClient(t, server.port).send(request('GET /stream'));
  await client.waitFor('200 OK');
  client.socket.destroy();
  await until(() => isReleased && server.inFlight === 0, 'it ended');
  assert.equal(ended[0]?.error?.code, 'CANCELLED');
});

const broken: Record<string, [() => AsyncIterable<string>, number | undefined]> = {
  'throws at once': [async function* () { throw new Error('secret'); }, undefined],
  'throws on the way': [async function* () { yield 'x'; throw new Error('secret'); }, undefined],
  'is shorter than announced': [async function* () { yield 'x'; }, 2],
  'is longer than announced': [async function* () { yield 'x'; yield 'yz'; }, 2],
};
for (const [what, [chunks, lengthBytes]] of Object.entries(broken)) {
  test(`A stream that ${what} costs its connection, not the server`, async (t) => {
    const { server, url, ended } = await serve(t, [streaming(chunks, lengthBytes), echo]);
    const client = new RawClient(t, server.port).send(request('GET /stream'));
    assert.doesNotMatch(await client.waitClosed(), /secret|0\r\n\r\n/);
    assert.equal(ended.length, 1);
    assert.equal((await fetch(`${url}/echo`, { method: 'POST', body: 'x' })).status, 200);
    await until(() => server.inFlight === 0, 'it ended');
  });
}

test('HEAD tells the length of a stream and never makes it', async (t) => {
  let isMade = false;
  async function* chunks(): AsyncGenerator<string> {
    isMade = true;
    yield 'xyz';
  }
  const { server, ended } = await serve(t, [streaming(chunks, 3), echo]);
  const client = new RawClient(t, server.port).send(request('HEAD /stream'));
  assert.match(await client.waitFor('\r\n\r\n'), /content-length: 3\r\n/i);
  client.send(request('POST /echo', [], 'x'));
  await client.waitFor('"x"');
  assert.equal(isMade, false);
  assert.deepEqual(ended.map(({ error }) => error), [undefined, undefined], 'nobody left');
  assert.equal(server.inFlight, 0);
});

/** Takes its body as a stream and tells its length and digest. */
function upload(bytesMax: number, eachMs = 0): AnyOperation {
  return operation('POST', '/upload', async (_text, call) => {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of call.body) {
      hash.update(chunk);
      bytes += chunk.length;
      if (eachMs > 0) await sleep(eachMs);
    }
    return { bytes, sha256: hash.digest('hex') };
  }, { body: { kind: 'stream', bytesMax: () => bytesMax }, timeoutMs: 20_000 });
}

for (const [how, eachMs] of [['quick', 0], ['slow', 2]] as const) {
  test(`A body above the limit of collected ones reaches a ${how} reader byte for byte`, { timeout: 30_000 }, async (t) => {
    const { server, url } = await serve(t, [upload(big.length, eachMs)]);
    const answered = await fetch(`${url}/upload`, { method: 'POST', body: big });
    assert.deepEqual(await answered.json(), { bytes: big.length, sha256: sha256(big) });
    assert.equal(server.bodyBytesInFlight, 0);
    assert.equal(server.inFlight, 0);
  });
}

test('A chunked body is read as a stream, too', async (t) => {
  const { url } = await serve(t, [upload(big.length)]);
  const body = new ReadableStream({ async start(controller) {
    for await (const piece of pieces(big, 300_000)) controller.enqueue(piece);
    controller.close();
  } });
  const answered = await fetch(`${url}/upload`, { method: 'POST', body, duplex: 'half' } as RequestInit);
  assert.deepEqual(await answered.json(), { bytes: big.length, sha256: sha256(big) });
});

test('An empty body is an empty stream', async (t) => {
  const { url } = await serve(t, [upload(10)]);
  assert.equal(((await (await fetch(`${url}/upload`, { method: 'POST' })).json()) as { bytes: number }).bytes, 0);
});

test('A body stands still while nobody reads it', async (t) => {
  let received = 0;
  let go: (() => void) | undefined;
  const lazy = operation('POST', '/upload', async (_text, call) => {
    await new Promise<void>((resolve) => (go = resolve));
    for await (const chunk of call.body) received += chunk.length;
    return received;
  }, { body: { kind: 'stream', bytesMax: () => 1e9 } });
  const { server } = await serve(t, [lazy]);
  const client = new RawClient(t, server.port).send(request('POST /upload', [`Content-Length: ${big.length}`]));
  client.send(big);
  await until(() => go !== undefined, 'it runs');
  await sleep(200);
  // 20 MB do not fit into the buffers of a socket and ours together.
  assert.ok(client.socket.writableLength > 1_000_000);
  go!();
  await client.waitFor(String(big.length));
});

test('Too large a body is refused, declared or not', async (t) => {
  const { server, url } = await serve(t, [upload(1000), echo]);
  assert.equal((await fetch(`${url}/upload`, { method: 'POST', body: big.subarray(0, 1001) })).status, 413);
  const chunked = new RawClient(t, server.port).send(request('POST /upload', ['Transfer-Encoding: chunked']));
  chunked.send(`400\r\n${'x'.repeat(1024)}\r\n0\r\n\r\n`);
  await chunked.waitFor('413');
  await until(() => server.inFlight === 0, 'it ended');
});

test('An answer before the end of the body waits for it, so that the client sees it', async (t) => {
  const early = operation('POST', '/upload', () => { throw new ServerError('REQUEST_INVALID'); }, {
    body: { kind: 'stream', bytesMax: () => 1e9 },
  });
  const { server, url } = await serve(t, [early, echo]);
  assert.equal((await fetch(`${url}/upload`, { method: 'POST', body: big })).status, 400);
  const client = new RawClient(t, server.port).send(request('POST /upload', [], 'x'.repeat(100_000)));
  await client.waitFor('REQUEST_INVALID');
  client.send(request('POST /echo', [], 'x'));
  await client.waitFor('"x"');
  assert.deepEqual(statuses(client.received), [400, 200]);
});

test('A client that leaves in the middle of its body ends the reader', async (t) => {
  const { server, ended } = await serve(t, [upload(1e9)]);
  const client = new RawClient(t, server.port).send(request('POST /upload', ['Content-Length: 1000'], 'x'.repeat(500)));
  await until(() => server.inFlight === 1, 'it runs');
  client.socket.destroy();
  await until(() => server.inFlight === 0 && ended.length === 1, 'it ended');
  assert.equal(ended[0]?.error?.code, 'CANCELLED');
});
