import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LmdbStore } from '../../../src/cache/semantic/lmdb-store.ts';
import { noModel, type VectorModel } from '../../../src/cache/semantic/vector-model.ts';
import { AnswerEngine, type AnswerParts } from '../../../src/engine/answer.ts';
import { EmbedEngine } from '../../../src/engine/embed.ts';
import { ServerError } from '../../../src/errors.ts';
import { Metrics } from '../../../src/metrics.ts';
import { chatOperations } from '../../../src/surface/chat/operations.ts';
import { entryOperations } from '../../../src/surface/query/entries.ts';
import { queryOperations } from '../../../src/surface/query/operations.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { openCache, silent } from '../../cache/semantic/support.ts';
import { ChatServer } from '../../support/chat-server.ts';
import { callOperation, heldModel, heldRegistry } from '../../support/held-model.ts';

const noParts = { partitionHeaders: [], partitionFields: [] };
const observer = { saved: () => {}, upstreamEnded: () => {}, joined: () => {}, bypassed: () => {} };

function answerEngine(parts: Pick<AnswerParts, 'cache'> & Partial<AnswerParts>): AnswerEngine {
  return new AnswerEngine({
    engine: heldModel().engine, model: 'held', upstream: undefined, observer, onError: (error) => assert.fail(String(error)), ...parts,
  });
}

test('the upstream answers while there is neither a cache nor a model to compare questions', async (t) => {
  const chat = await ChatServer.start(t);
  const upstream = new Upstream({ baseUrl: chat.url, apiKey: undefined, timeoutMs: 5000, retries: 0 });
  t.after(() => upstream.close());
  const { registry } = heldRegistry([], () => Promise.reject(new ServerError('MODEL_NOT_READY', 'broken file')));
  const engine = answerEngine({
    cache: () => Promise.reject(new ServerError('BACKEND_FAILED')),
    engine: new EmbedEngine(registry, false),
    upstream,
    onError: () => {},
  });
  const [query] = queryOperations(engine, { model: 'gpt-test', timeoutMs: 5000, forwardsKey: false, ...noParts });
  const { status, json } = await callOperation(query!, { query: 'Why?' });
  assert.equal(status, 200, JSON.stringify(json()));
  assert.equal(json().response, ChatServer.answerTo('Why?', 1));
  assert.equal(json().embedding_dimension, null);
});

const finished = { message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' };

for (const [what, stored, response] of [
  ['has no choices', { completion: { choices: [] }, upstreamMs: 1 }, null],
  ['has a choice that is none', { completion: { choices: [null] }, upstreamMs: 1 }, null],
  ['has no text', { completion: { choices: [{ ...finished, message: { content: 3 } }] }, upstreamMs: 1 }, null],
  ['counts tokens in words', { completion: { choices: [finished], usage: { total_tokens: 'many' } }, upstreamMs: 1 }, 'x'],
  ['took less than no time', { completion: { choices: [finished] }, upstreamMs: -1 }, 'x'],
] as const) {
  test(`an entry of somebody else's that ${what} breaks neither its question nor the list`, async (t) => {
    const cache = await openCache(t);
    const metrics = new Metrics('0.0.0');
    const engine = answerEngine({
      cache: () => Promise.resolve(cache),
      observer: { ...observer, saved: (upstreamMs, tokens) => metrics.semantic.saved(upstreamMs, tokens) },
    });
    const [query] = queryOperations(engine, { model: '', timeoutMs: 5000, forwardsKey: false, ...noParts });
    const [put, list] = entryOperations(engine, { model: '', ...noParts });
    await callOperation(put!, { query: 'Why?', response: 'Because.' });
    const [entry] = cache.list('default', { offset: 0, limit: 1, tag: undefined }).entries;
    await cache.put(entry!.partition, { ...entry!, vector: undefined, answer: Buffer.from(JSON.stringify(stored)), ttlMs: undefined });
    const answer = await callOperation(query!, { query: 'Why?' });
    assert.deepEqual([answer.status, answer.json().response], [200, response]);
    const listed = await callOperation(list!, undefined);
    assert.deepEqual([listed.status, listed.json().entries[0].response], [200, response]);
  });
}

test('a dump before the first question has the vectors', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-dump-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const open = (model: VectorModel) => openCache(t, { model, store: new LmdbStore(directory, silent) });
  const first = await open({ identity: 'held', dimension: 2 });
  await first.put({ namespace: 'default', key: 'k' }, { question: 'Why?', vector: Float32Array.of(0, 1), answer: Buffer.from('{}') });
  await first.close();
  const cache = await open(noModel);
  const engine = answerEngine({ cache: () => Promise.resolve(cache) });
  let text = '';
  for await (const line of await engine.dump(undefined)) text += line;
  assert.equal(JSON.parse(text).vector, Buffer.from(Float32Array.of(0, 1).buffer).toString('base64'));
});

test('the upstream answers though the model gives vectors that have no direction', async (t) => {
  const chat = await ChatServer.start(t);
  const upstream = new Upstream({ baseUrl: chat.url, apiKey: undefined, timeoutMs: 5000, retries: 0 });
  t.after(() => upstream.close());
  const cache = await openCache(t);
  const { engine: embedEngine, backend } = heldModel();
  const { replyTo } = backend;
  backend.replyTo = (task) => ({ ...replyTo(task), rows: new Float32Array(task.inputs.length * 2).fill(NaN) }) as ReturnType<typeof replyTo>;
  const errors: unknown[] = [];
  const engine = answerEngine({
    cache: () => Promise.resolve(cache),
    engine: embedEngine,
    upstream,
    onError: (error) => errors.push(error),
  });
  const [query] = queryOperations(engine, { model: 'gpt-test', timeoutMs: 5000, forwardsKey: false, ...noParts });
  for (const [question, isHit] of [['Why?', false], ['Who?', false], ['Why?', true]] as const) {
    const { status, json } = await callOperation(query!, { query: question });
    assert.equal(status, 200, JSON.stringify(json()));
    assert.deepEqual([json().response === null, json().cache_hit], [false, isHit]);
  }
  assert.ok(errors.length > 0);
});

test('headers that part chats part questions and entries, too', async (t) => {
  const cache = await openCache(t);
  const engine = answerEngine({ cache: () => Promise.resolve(cache) });
  const parts = { partitionHeaders: ['x-tenant'], partitionFields: ['user'] };
  const [query] = queryOperations(engine, { model: 'gpt-test', timeoutMs: 5000, forwardsKey: false, ...parts });
  const [put] = entryOperations(engine, { model: 'gpt-test', ...parts });
  const [chat] = chatOperations(engine, { model: 'gpt-test', temperatureMax: 0, timeoutMs: 5000, forwardsKey: false, ...parts });
  const of = (tenant: string) => ({ headers: { 'x-tenant': tenant } });
  await callOperation(put!, { query: 'Why?', response: 'Because.' }, of('a'));
  const answered = await Promise.all(['a', 'b', ''].map(async (tenant) => (await callOperation(query!, { query: 'Why?' }, of(tenant))).json().response));
  assert.deepEqual(answered, ['Because.', null, null]);
  const chatted = await callOperation(chat!, { messages: [{ role: 'user', content: 'Why?' }] }, of('a'));
  assert.equal(chatted.json().choices[0].message.content, 'Because.');
});
