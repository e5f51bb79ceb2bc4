// Answers larger than a socket takes at once.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/until.ts';
import { operation, RawClient, request, serve } from './support.ts';

const bigBytes = 20_000_000;
const body = Buffer.from(Array.from({ length: bigBytes }, (_, index) => (index * 7 + (index >> 8)) & 255));
const big = operation('GET', '/big', () => undefined, {
  encode: () => ({ status: 200, contentType: 'application/octet-stream', body }),
});
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test('A large answer arrives byte for byte', async (t) => {
  const { url, server } = await serve(t, [big]);
  const answered = await fetch(`${url}/big`);
  assert.equal(answered.headers.get('content-length'), String(bigBytes));
  assert.equal(sha256(Buffer.from(await answered.arrayBuffer())), sha256(body));
  assert.equal(server.inFlight, 0);
});

test('A slow reader gets all of a large answer, then the next on its connection', { timeout: 30_000 }, async (t) => {
  const { server } = await serve(t, [big, operation('GET', '/next', () => 'next')]);
  const client = new RawClient(t, server.port);
  const hash = createHash('sha256');
  let length = 0;
  let headLength = -1;
  client.socket.removeAllListeners('data');
  client.socket.on('data', (bytes) => {
    if (headLength < 0) headLength = bytes.indexOf('\r\n\r\n') + 4;
    const rest = length === 0 ? bytes.subarray(headLength) : bytes;
    if (length < bigBytes) hash.update(rest.subarray(0, bigBytes - length));
    length += rest.length;
    if (length >= bigBytes) client.received += rest.subarray(-200).toString('latin1');
    if (length > bigBytes) return;
    client.socket.pause();
    setTimeout(() => client.socket.resume(), 2);
  });
  client.send(request('GET /big'));
  await until(() => length === bigBytes, 'all bytes came', 25_000);
  assert.equal(hash.digest('hex'), sha256(body));
  await until(() => server.inFlight === 0, 'the call ended');
  client.send(request('GET /next'));
  await client.waitFor('"next"');
});

test('Readers that stand still cost no second copy, and what they hold is released', { timeout: 60_000 }, async (t) => {
  const { server } = await serve(t, [big]);
  const readers = 10;
  const before = process.memoryUsage.rss();
  const clients = Array.from({ length: readers }, () => {
    const client = new RawClient(t, server.port);
    client.socket.pause();
    return client.send(request('GET /big'));
  });
  await until(() => server.inFlight === readers, 'all are being answered');
  await sleep(300);
  const grown = process.memoryUsage.rss() - before;
  // With a copy each it would be 200 MB.
  assert.ok(grown < 60_000_000, `${grown} bytes more`);
  for (const client of clients) client.socket.destroy();
  await until(() => server.inFlight === 0, 'all were given up');
});

test('A reader that takes nothing is given up by the idle timeout', { timeout: 40_000 }, async (t) => {
  const { server } = await serve(t, [big]);
  const client = new RawClient(t, server.port);
  client.socket.pause();
  client.send(request('GET /big'));
  await until(() => server.inFlight === 1, 'it is being answered');
  await until(() => server.inFlight === 0, 'it was given up', 30_000);
});
