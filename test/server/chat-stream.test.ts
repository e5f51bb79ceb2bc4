// Streamed chats over the WebSocket, in front of a real upstream: each chunk is an item, from the cache as from there.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ChatServer } from '../support/chat-server.ts';
import { startServerProcess } from '../support/server-process.ts';
import { TestSocket, type Received } from '../transport/socket-support.ts';
import { until } from '../support/until.ts';

async function connected(t: TestContext) {
  const upstream = await ChatServer.start(t);
  const server = await startServerProcess(t, { UPSTREAM_URL: upstream.url, UPSTREAM_RETRIES: '0', UPSTREAM_TIMEOUT: '2' });
  const client = await TestSocket.open(t, `${server.url.replace('http', 'ws')}/v1/stream`, [], { headers: { authorization: 'Bearer sk-mine' } });
  const body = (content: string, more: object = {}) => ({ model: 'gpt-test', messages: [{ role: 'user', content }], stream: true, ...more });
  const ask = async (id: string, content: string, more: object = {}) => {
    client.send({ id, op: 'chat', body: body(content, more) });
    return client.end(id);
  };
  return { upstream, server, client, ask, body };
}

const textOf = (items: readonly Received[]): string => items.map(({ body }) => body.choices[0]?.delta.content ?? '').join('');
const question = 'What is the capital of France?';

test('chats over the WebSocket', async (t) => {
  const { upstream, server, client, ask, body } = await connected(t);

  await t.test('the upstream\'s chunks come one by one while it makes them, then a summary', async () => {
    upstream.delayMs = 500;
    client.send({ id: 'miss', op: 'chat', body: body(question) });
    await client.next('item', 2);
    assert.equal(client.of('miss', 'summary').length, 0, 'the upstream is not done');
    const end = await client.end('miss');
    upstream.delayMs = 0;
    const items = client.of('miss', 'item');
    assert.equal(textOf(items), ChatServer.answerTo(question, 1));
    assert.ok(items.length > 5, 'a word each');
    assert.deepEqual(items.map(({ index }) => index), items.map((_, i) => i));
    assert.ok(items.every((item) => item['body'].object === 'chat.completion.chunk'));
    assert.deepEqual([end.type, end['status'], end['count'], end['headers']['x-cache']], ['summary', 200, items.length, 'miss']);
  });

  await t.test('the same from the cache, by text and by meaning', async () => {
    for (const [id, content, tier] of [['exact', question, 'exact'], ['near', "What's the capital of France?", 'semantic']] as const) {
      const end = await ask(id, content, { stream_options: { include_usage: true } });
      assert.equal(textOf(client.of(id, 'item')), ChatServer.answerTo(question, 1));
      assert.deepEqual([end.type, end['count'], end['headers']['x-cache'], end['headers']['x-cache-tier']], ['summary', client.of(id, 'item').length, 'hit', tier]);
      assert.deepEqual(client.of(id, 'item').at(-1)!['body'].choices, [], 'the usage is the last chunk');
    }
    assert.equal(upstream.calls.length, 1);
  });

  await t.test('a chat that asks for no stream is answered in one piece', async () => {
    const end = await ask('whole', question, { stream: false });
    assert.deepEqual([end.type, end['body'].choices[0].message.content], ['result', ChatServer.answerTo(question, 1)]);
  });

  await t.test('who cancels in the middle stops the upstream, and nothing is kept', async () => {
    const asked = 'Tell me a long story please, with many words in it. !delay 100';
    const calls = upstream.calls.length;
    upstream.delayMs = 1000;
    client.send({ id: 'left', op: 'chat', body: body(asked) });
    await until(() => client.of('left', 'item').length > 1, 'it began');
    client.send({ id: 'left', op: 'cancel' });
    assert.equal((await client.end('left'))['error'].code, 'CANCELLED');
    await until(() => upstream.abandoned === 1, 'the upstream was told');
    const seen = client.of('left').length;
    upstream.delayMs = 0;
    const end = await ask('again', asked);
    assert.equal(end['headers']['x-cache'], 'miss');
    assert.deepEqual([client.of('left').length, upstream.calls.length], [seen, calls + 2]);
  });

  await t.test('what the upstream refuses or breaks off is told', async () => {
    const refused = await ask('refused', '!status 429');
    assert.deepEqual([refused.type, refused['status'], refused['body'].error.message], ['summary', 429, 'no 429']);
    const cut = await ask('cut', '!cut this off');
    assert.deepEqual([cut.type, cut['error'].code], ['error', 'UPSTREAM_FAILED']);
  });

  await t.test('what calls itself JSON and is none comes as text', async () => {
    const end = await ask('junk', '!junk', { stream: false });
    assert.deepEqual([end.type, end['status'], end['text']], ['result', 503, 'no healthy upstream']);
  });

  await t.test('a stream may take longer than its first chunk may', async () => {
    upstream.delayMs = 3000;
    const end = await ask('long', 'What begins at once and takes its time? !delay 0');
    assert.equal(end.type, 'summary');
    assert.equal(await server.metric('ortserve_websocket_connections'), 1);
  });
});
