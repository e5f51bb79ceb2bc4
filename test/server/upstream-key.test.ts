// The keys that open this server are nobody else's business, also not the upstream's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatServer } from '../support/chat-server.ts';
import { startServerProcess } from '../support/server-process.ts';

const key = 'k'.repeat(32);

test('a key of this server never reaches the upstream, whatever the answer\'s way', async (t) => {
  const upstream = await ChatServer.start(t);
  const server = await startServerProcess(t, { UPSTREAM_URL: upstream.url, UPSTREAM_MODEL: 'm', API_KEY: key });
  const messages = [{ role: 'user', content: 'What is the capital of France?' }];
  const ask = async (path: string, body: object, more: Record<string, string> = {}) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...more };
    const answer = await fetch(server.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.equal(answer.status, 200, await answer.text());
  };
  await ask('/query', { query: 'Who wrote Faust?' });
  await ask('/v1/chat/completions', { model: 'm', messages });
  await ask('/v1/chat/completions', { model: 'm', messages, stream: true }, { 'cache-control': 'no-cache' });
  await ask('/v1/chat/completions', { model: 'm', messages }, { 'cache-control': 'no-store' });
  assert.equal(upstream.calls.length, 4);
  for (const { body, authorization } of upstream.calls) {
    assert.equal(authorization, undefined);
    assert.ok(!JSON.stringify(body).includes(key));
  }
});
