import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerEngine } from '../../../src/engine/answer.ts';
import { EmbedEngine } from '../../../src/engine/embed.ts';
import { ServerError } from '../../../src/errors.ts';
import { queryOperations } from '../../../src/surface/query/operations.ts';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { ChatServer } from '../../support/chat-server.ts';
import { callOperation, heldRegistry } from '../../support/held-model.ts';

test('the upstream answers while there is neither a cache nor a model to compare questions', async (t) => {
  const chat = await ChatServer.start(t);
  const upstream = new Upstream({ baseUrl: chat.url, apiKey: undefined, timeoutMs: 5000, retries: 0 });
  t.after(() => upstream.close());
  const { registry } = heldRegistry([], () => Promise.reject(new ServerError('MODEL_NOT_READY', 'broken file')));
  const engine = new AnswerEngine({
    cache: () => Promise.reject(new ServerError('BACKEND_FAILED')),
    engine: new EmbedEngine(registry, false),
    model: 'held',
    upstream,
    observer: { saved: () => {}, upstreamEnded: () => {}, joined: () => {}, bypassed: () => {} },
    onError: () => {},
  });
  const [query] = queryOperations(engine, { model: 'gpt-test', timeoutMs: 5000, forwardsKey: false });
  const { status, json } = await callOperation(query!, { query: 'Why?' });
  assert.equal(status, 200, JSON.stringify(json()));
  assert.equal(json().response, ChatServer.answerTo('Why?', 1));
  assert.equal(json().embedding_dimension, null);
});
