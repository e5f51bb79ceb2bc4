// The semantic cache as its seed describes it, line by line, against the real server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatServer } from '../support/chat-server.ts';
import { startServerProcess } from '../support/server-process.ts';

type Json = Record<string, unknown>;

async function caller(url: string) {
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const answer = await fetch(url + path, {
      method, headers: { 'content-type': 'application/json', ...headers }, ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, headers: answer.headers, json: (await answer.json()) as Json };
  };
  return call;
}

test('POST /query, /health and /cache/stats', async (t) => {
  const upstream = await ChatServer.start(t);
  const server = await startServerProcess(t, { UPSTREAM_URL: upstream.url, UPSTREAM_MODEL: 'gpt-test' });
  const call = await caller(server.url);

  await t.test('a new question is answered by the upstream', async () => {
    const { status, json } = await call('POST', '/query', { query: 'Can you explain machine learning?', use_cache: true, similarity_threshold: 0.85 });
    assert.equal(status, 200);
    assert.equal(json['query'], 'Can you explain machine learning?');
    assert.equal(json['response'], ChatServer.answerTo('Can you explain machine learning?', 1));
    assert.equal(json['cache_hit'], false);
    assert.equal(json['cached_data'], null);
    assert.equal(json['embedding_dimension'], 384);
    assert.ok((json['processing_time'] as number) >= 0);
  });

  await t.test('the question again is a hit, and says by what', async () => {
    const { json } = await call('POST', '/query', { query: 'Can you explain machine learning?' });
    assert.equal(json['cache_hit'], true);
    const data = json['cached_data'] as Json;
    assert.equal(json['response'], data['cached_response']);
    assert.equal(data['similarity_score'], 1);
    assert.equal(data['cached_query'], 'Can you explain machine learning?');
    assert.ok(Math.abs((data['cache_timestamp'] as number) - Date.now() / 1000) < 60);
  });

  await t.test('use_cache: false asks the upstream and renews the entry', async () => {
    const { json } = await call('POST', '/query', { query: 'Can you explain machine learning?', use_cache: false });
    assert.equal(json['cache_hit'], false);
    assert.equal(json['response'], ChatServer.answerTo('Can you explain machine learning?', 2));
    const again = await call('POST', '/query', { query: 'Can you explain machine learning?' });
    assert.equal(again.json['response'], json['response']);
  });

  await t.test('a chat of just that question shares the answer', async () => {
    const { headers } = await call('POST', '/v1/chat/completions', { model: 'gpt-test', messages: [{ role: 'user', content: 'Can you explain machine learning?' }] });
    assert.equal(headers.get('x-cache'), 'hit');
  });

  await t.test('GET /cache/stats', async () => {
    const { json } = await call('GET', '/cache/stats');
    assert.equal(json['cache_size'], 1);
    assert.equal(json['max_cache_size'], 1000);
    assert.equal(typeof json['current_threshold'], 'number');
    assert.equal(json['namespace'], 'default');
  });

  await t.test('GET /health', async () => {
    const { json } = await call('GET', '/health');
    assert.equal(json['status'], 'healthy');
    assert.ok(Math.abs((json['timestamp'] as number) - Date.now() / 1000) < 60);
  });

  const bad: Record<string, [unknown, string]> = {
    'no query': [{}, 'query'],
    'an empty query': [{ query: '' }, 'query'],
    'a query of spaces': [{ query: '  ' }, 'query'],
    'a number as query': [{ query: 1 }, 'query'],
    'a threshold above 1': [{ query: 'x', similarity_threshold: 2 }, 'similarity_threshold'],
    'a negative threshold': [{ query: 'x', similarity_threshold: -1 }, 'similarity_threshold'],
    'a threshold that is no number': [{ query: 'x', similarity_threshold: 'NaN' }, 'similarity_threshold'],
    'a use_cache that is no boolean': [{ query: 'x', use_cache: 'yes' }, 'use_cache'],
  };
  for (const [what, [body, field]] of Object.entries(bad)) {
    await t.test(`${what} is refused by name`, async () => {
      const { status, json } = await call('POST', '/query', body);
      assert.equal(status, 400);
      assert.equal((json['extra'] as Json[])[0]!['key'], field);
    });
  }

  await t.test("the upstream's refusals are told", async () => {
    const limited = await call('POST', '/query', { query: '!status 429' });
    assert.equal(limited.status, 429);
    assert.equal(limited.headers.get('retry-after'), '7');
    const failed = await call('POST', '/query', { query: '!status 500' });
    assert.equal(failed.status, 502);
    assert.match(String(failed.json['detail']), /no 500/);
  });

  await t.test('entries can be put, listed, got, told wrong and deleted', async () => {
    const put = await call('POST', '/cache/entries', { query: 'What is a tensor?', response: 'A block of numbers.', tags: ['math'] });
    assert.equal(put.status, 201);
    const id = put.json['id'] as string;
    assert.equal((await call('GET', `/cache/entries/${id}`)).json['response'], 'A block of numbers.');
    assert.equal((await call('GET', '/cache/entries?tag=math')).json['total'], 1);
    assert.equal((await call('POST', '/query', { query: 'What is a tensor?' })).json['response'], 'A block of numbers.');
    assert.deepEqual((await call('POST', `/cache/entries/${id}/feedback`, { wrong: true })).json, { dropped: true });
    assert.equal((await call('GET', `/cache/entries/${id}`)).status, 404);
    assert.equal((await call('DELETE', '/cache/entries')).status, 400);
    await call('POST', '/cache/entries', { query: 'What is a vector?', response: 'A row.', tags: ['math'] });
    assert.deepEqual((await call('DELETE', '/cache/entries?tag=math')).json, { deleted: 1 });
    assert.ok(((await call('DELETE', '/cache/entries?all=true')).json['deleted'] as number) >= 1);
    assert.equal((await call('GET', '/cache/stats')).json['cache_size'], 0);
  });
});

test('the upstream answers while the model that compares questions cannot', async (t) => {
  const upstream = await ChatServer.start(t);
  const server = await startServerProcess(t, { UPSTREAM_URL: upstream.url, UPSTREAM_MODEL: 'gpt-test', SEMANTIC_MODEL: 'absent' });
  const call = await caller(server.url);
  const { status, json } = await call('POST', '/query', { query: 'What is a cache?' });
  assert.deepEqual([status, json['response'], json['embedding_dimension']], [200, ChatServer.answerTo('What is a cache?', 1), null]);
});

test('entries that another program wrote are answered where they hold a text, whatever else they hold', async (t) => {
  const server = await startServerProcess(t);
  const call = await caller(server.url);
  const query = 'What is a cache?';
  await call('POST', '/cache/entries', { query, response: 'A store.' });
  const entry = JSON.parse(await (await fetch(`${server.url}/cache/dump`)).text()) as Json;
  const choices = [{ message: { content: 'A store.' }, finish_reason: 'stop' }];
  const cases: [object, string | null][] = [
    [{ completion: { choices: [] } }, null],
    [{ completion: { choices: [{}] } }, null],
    [{ completion: { choices } }, 'A store.'],
    [{ completion: { choices, usage: { total_tokens: -1 } }, upstreamMs: 'long' }, 'A store.'],
  ];
  for (const [stored, response] of cases) {
    await call('DELETE', '/cache/entries?all=true');
    await call('POST', '/cache/load', { ...entry, answer: Buffer.from(JSON.stringify(stored)).toString('base64') });
    assert.equal((await call('POST', '/query', { query })).json['response'], response);
    const { json } = await call('GET', '/cache/entries');
    assert.deepEqual((json['entries'] as Json[]).map((each) => each['response']), [response]);
  }
});

test('without an upstream a miss answers null and says so', async (t) => {
  const server = await startServerProcess(t);
  const call = await caller(server.url);
  const { status, json } = await call('POST', '/query', { query: 'What is machine learning?' });
  assert.equal(status, 200);
  assert.equal(json['response'], null);
  assert.equal(json['cache_hit'], false);
  assert.match(String(json['detail']), /UPSTREAM_URL/);
});

test('keys part tenants, and open only their own namespaces', async (t) => {
  const keys = [
    { name: 'alice', key: 'alice-alice-alice-1', scopes: ['infer', 'cache:red'] },
    { name: 'bob', key: 'bob-bob-bob-bob-1', scopes: ['infer'] },
    { name: 'both', key: 'both-both-both-both', scopes: ['infer', 'cache:red', 'cache:blue'] },
    { name: 'boss', key: 'boss-boss-boss-boss', scopes: ['infer', 'admin'] },
  ];
  const { mkdtempSync, writeFileSync, rmSync } = await import('node:fs');
  const directory = mkdtempSync('/tmp/ortserve-keys-');
  t.after(() => rmSync(directory, { recursive: true }));
  writeFileSync(`${directory}/keys.json`, JSON.stringify(keys));
  const server = await startServerProcess(t, { API_KEYS_FILE: `${directory}/keys.json` });
  const call = await caller(server.url);
  const as = (name: string, more: Record<string, string> = {}) => ({ authorization: `Bearer ${keys.find((key) => key.name === name)!.key}`, ...more });
  const put = await call('POST', '/cache/entries', { query: 'Which colour?', response: 'Red.' }, as('alice'));
  assert.equal(put.status, 201);
  const ask = async (headers: Record<string, string>) => (await call('POST', '/query', { query: 'Which colour?' }, headers));
  assert.equal((await ask(as('alice'))).json['response'], 'Red.');
  assert.equal((await ask(as('bob'))).json['response'], null);
  assert.equal((await ask(as('boss'))).json['response'], null);
  assert.equal((await ask(as('both'))).status, 400);
  assert.equal((await ask(as('both', { 'x-cache-namespace': 'red' }))).json['response'], 'Red.');
  assert.equal((await ask(as('both', { 'x-cache-namespace': 'blue' }))).json['response'], null);
  assert.equal((await ask(as('bob', { 'x-cache-namespace': 'red' }))).status, 403);
  assert.equal((await call('GET', '/cache/entries', undefined, as('bob'))).status, 403);
  assert.equal((await call('GET', '/cache/entries?namespace=red', undefined, as('bob'))).status, 403);
  assert.equal((await call('GET', '/cache/entries?namespace=blue', undefined, as('alice'))).status, 403);
  assert.equal((await call('GET', '/cache/entries?namespace=red', undefined, as('boss'))).json['total'], 1);
  assert.equal((await ask({})).status, 401);
});
