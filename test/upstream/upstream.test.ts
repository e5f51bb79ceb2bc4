import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { ByteBudget } from '../../src/byte-budget.ts';
import { ServerError } from '../../src/errors.ts';
import { upstreamBytesInFlightMax } from '../../src/limits.ts';
import { completionOf, completionOfStream, replayed, textOf } from '../../src/upstream/completion.ts';
import { SharedResponse } from '../../src/upstream/shared-response.ts';
import { Upstream, type UpstreamOptions } from '../../src/upstream/upstream.ts';
import { ChatServer } from '../support/chat-server.ts';
import { until } from '../support/until.ts';

async function upstreamOf(t: import('node:test').TestContext, options: Partial<UpstreamOptions> = {}) {
  const server = await ChatServer.start(t);
  const upstream = new Upstream({ baseUrl: server.url, apiKey: undefined, timeoutMs: 2000, retries: 0, ...options });
  t.after(() => upstream.close());
  const budget = new ByteBudget(upstreamBytesInFlightMax);
  const ask = (content: string, more: object = {}) => new SharedResponse((signal) => upstream.chatCompletions({
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content }], ...more }), authorization: 'Bearer mine', signal,
  }), budget);
  return { server, upstream, ask };
}

const codeOf = (code: string) => (error: unknown) => error instanceof ServerError && error.code === code;

test('an answer comes whole, with the headers that clients need and none of ours', async (t) => {
  const { ask, server } = await upstreamOf(t);
  const response = ask('Why?');
  assert.deepEqual(await response.head, { status: 200, contentType: 'application/json', headers: { 'x-upstream-request-id': 'upstream-1' } });
  assert.equal(textOf(completionOf(await response.whole)!), ChatServer.answerTo('Why?', 1));
  assert.equal(server.calls[0]?.authorization, 'Bearer mine');
});

test('a key of our own takes the place of the client\'s', async (t) => {
  const { ask, server } = await upstreamOf(t, { apiKey: 'ours' });
  await ask('Why?').whole;
  assert.equal(server.calls[0]?.authorization, 'Bearer ours');
});

test('every reader gets a stream from its start, and it can be put together and taken apart again', async (t) => {
  const { ask } = await upstreamOf(t);
  const response = ask('What is a stream?', { stream: true, stream_options: { include_usage: true } });
  const read = async () => {
    const parts: Uint8Array[] = [];
    for await (const chunk of response.chunks()) parts.push(chunk);
    return Buffer.concat(parts).toString();
  };
  const [first, second] = await Promise.all([read(), response.head.then(read)]);
  assert.equal(first, second);
  assert.equal(await read(), first);
  const completion = completionOfStream(Buffer.from(first))!;
  assert.equal(textOf(completion), ChatServer.answerTo('What is a stream?', 1));
  assert.equal(completion.usage?.total_tokens, 12);
  const again = completionOfStream(Buffer.from([...replayed(completion, true)].join('')))!;
  assert.deepEqual(again, completion);
});

test('an upstream that says no is an answer; one that is not there is an error without its address', async (t) => {
  const { ask, server } = await upstreamOf(t);
  const refused = ask('!status 429');
  assert.equal((await refused.head).status, 429);
  assert.equal((await refused.head).headers['retry-after'], '7');
  assert.match((await refused.whole).toString(), /no 429/);
  server.stop();
  await assert.rejects(ask('Hello?').head, (error: Error) => codeOf('UPSTREAM_FAILED')(error) && !error.message.includes('127'));
});

test('a slow upstream is given up, before and within its answer', async (t) => {
  const { ask } = await upstreamOf(t, { timeoutMs: 1000 });
  await assert.rejects(ask('!delay 4000').head, codeOf('UPSTREAM_TIMEOUT'));
  const cut = ask('!cut', { stream: true });
  assert.equal((await cut.head).status, 200);
  await assert.rejects(cut.whole, codeOf('UPSTREAM_FAILED'));
  await assert.rejects(async () => { for await (const _ of cut.chunks()); }, codeOf('UPSTREAM_FAILED'));
});

test('gateways that did nothing are asked again, others are not', async (t) => {
  const { ask, server } = await upstreamOf(t, { retries: 1 });
  assert.equal((await ask('!status 503').head).status, 503);
  assert.equal(server.calls.length, 2);
  assert.equal((await ask('!status 500').head).status, 500);
  assert.equal(server.calls.length, 3);
});

test('when the last who waits leaves, the upstream is told to stop; before that it is not', async (t) => {
  const { ask, server } = await upstreamOf(t);
  const response = ask('!delay 500');
  const [one, two] = [response.enter(), response.enter()];
  await until(() => server.calls.length === 1, 'it was asked');
  one();
  one();
  assert.equal(server.abandoned, 0);
  two();
  await assert.rejects(response.whole, codeOf('CANCELLED'));
  await until(() => server.abandoned === 1, 'it heard of it');
});

test('an answer that all have left is abandoned at once, one that came to its end is not', async (t) => {
  const { ask } = await upstreamOf(t);
  const left = ask('!delay 1000 Why?');
  left.enter()();
  assert.equal(left.isAbandoned, true);
  await assert.rejects(left.whole, codeOf('CANCELLED'));
  const ended = ask('Why?');
  const leave = ended.enter();
  await ended.whole;
  leave();
  assert.equal(ended.isAbandoned, false);
});

test('an answer that comes compressed, though nobody asked for that, is read; one cut off or in a way unknown is refused', async (t) => {
  const answer = Buffer.from(JSON.stringify({ id: 'c', choices: [{ message: { content: 'x'.repeat(1000) }, finish_reason: 'stop' }] }));
  const bodies: Record<string, Buffer> = {
    gzip: gzipSync(answer), 'x-gzip': gzipSync(answer), deflate: deflateSync(answer), br: brotliCompressSync(answer), identity: answer,
    cut: gzipSync(answer).subarray(0, -12), zip: answer,
  };
  const server = createServer((request, response) => {
    const name = request.headers.authorization!;
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': name === 'cut' ? 'gzip' : name });
    response.end(bodies[name]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const upstream = new Upstream({ baseUrl, apiKey: undefined, timeoutMs: 2000, retries: 0 });
  t.after(() => upstream.close());
  const whole = (authorization: string) => new SharedResponse(
    (signal) => upstream.chatCompletions({ body: '{}', authorization, signal }), new ByteBudget(upstreamBytesInFlightMax)).whole;
  for (const name of ['gzip', 'x-gzip', 'deflate', 'br', 'identity']) assert.deepEqual(await whole(name), answer, name);
  for (const name of ['cut', 'zip']) await assert.rejects(whole(name), codeOf('UPSTREAM_FAILED'), name);
});
