// What a hit costs: the same text again costs no embedding, a near one costs one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServerProcess } from '../support/server-process.ts';

test('an exact repeat does not embed, a near question embeds once', async (t) => {
  const server = await startServerProcess(t, { ENABLE_EMBEDDING_CACHE: 'false', MODEL_NAME: 'minilm' });
  const post = async (path: string, body: object) => (
    await (await fetch(server.url + path, { method: 'POST', body: JSON.stringify(body) })).json()) as { cached_data?: { tier: string } };
  const embedded = () => server.metric('ortserve_inputs_total{model="minilm"}');
  await post('/cache/entries', { query: 'What are the opening hours of the museum?', response: 'Nine to five.' });
  const before = await embedded();
  for (let i = 0; i < 3; i++) {
    assert.equal((await post('/query', { query: 'What are the opening hours of the museum?' })).cached_data?.tier, 'exact');
  }
  assert.equal(await embedded(), before);
  assert.equal((await post('/query', { query: 'What are opening hours of the museum?' })).cached_data?.tier, 'semantic');
  assert.equal(await embedded(), before + 1);
});
