import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbeddingCache } from '../../../src/cache/embedding-cache.ts';
import { embeddingCacheOperations } from '../../../src/surface/embedding-cache/operations.ts';
import { openaiOperations } from '../../../src/surface/openai/operations.ts';
import { callOperation, heldModel } from '../../support/held-model.ts';

const limits = { inputsMax: 100, charsMax: 1000 };

function cachedModel() {
  const cache = new EmbeddingCache({ memoryBytesMax: 1e6, ttlMs: 60_000, sliding: true, precision: 'lossless' });
  const held = heldModel({ cache });
  const [remove] = embeddingCacheOperations(cache, held.registry, { group: 'System', limits });
  const [embed] = openaiOperations(held.engine, held.registry, limits);
  return {
    ...held,
    embed: (input: unknown) => callOperation(embed!, { model: 'held', input }),
    remove: (body: unknown) => callOperation(remove!, body),
  };
}

test('vectors are forgotten by text, by model, or all', async () => {
  const { embed, remove, backend } = cachedModel();
  await embed(['a', 'b', 'c']);
  await embed([[1, 2], [3]]);
  assert.deepEqual((await remove({ model: 'held', input: ['a', 'never seen'] })).json(), { deleted: 1 });
  assert.deepEqual((await remove({ input: [[3]] })).json(), { deleted: 1 });
  await embed(['a', 'b']);
  assert.deepEqual(backend.ran.filter((text) => text === 'a' || text === 'b'), ['a', 'b', 'a']);
  assert.deepEqual((await remove({ model: 'org/held' })).json(), { deleted: 4 });
  await embed('b');
  assert.deepEqual((await remove({ all: true })).json(), { deleted: 1 });
});

test('a body that says nothing forgets nothing', async () => {
  const { embed, remove } = cachedModel();
  await embed('a');
  for (const body of [{}, '', 'all', { all: false }, { input: '' }]) assert.equal((await remove(body)).status, 400);
  assert.equal((await remove({ model: 'none' })).status, 404);
  assert.deepEqual((await remove({ all: true })).json(), { deleted: 1 });
});
