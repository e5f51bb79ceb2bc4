// Requests that come again byte for byte are answered as if they had not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbeddingCache } from '../../../src/cache/embedding-cache.ts';
import { openaiOperations } from '../../../src/surface/openai/operations.ts';
import { callOperation, heldModel } from '../../support/held-model.ts';

const limits = { inputsMax: 100, charsMax: 1000 };

function setup(memoryBytesMax = 1e6) {
  const cache = new EmbeddingCache({ memoryBytesMax, ttlMs: 60_000, sliding: true, precision: 'lossless' });
  const held = heldModel({ cache });
  const [embeddings, alias] = openaiOperations(held.engine, held.registry, limits, true);
  const ask = (fields: object, headers?: Record<string, string>) =>
    callOperation(embeddings!, { model: 'held', ...fields }, { headers: headers ?? {} });
  return { ...held, cache, alias: alias!, ask };
}

const text = (body: unknown) => Buffer.from(body as Uint8Array | string).toString('latin1');

const requests = [
  { input: 'abc' },
  { input: 'abc', encoding_format: 'base64' },
  { input: ['abc', 'de', 'abc'], encoding_format: 'base64', embed_dtype: 'int8' },
  { input: ['abc', 'de'], encoding_format: 'bytes', embed_dtype: 'float16' },
  { input: [[5, 6], [7]] },
  { input: 'x'.repeat(300) },
];

for (const request of requests) {
  test(`the same answer each time to ${JSON.stringify(request).slice(0, 80)}`, async () => {
    const { ask, cache, model, metrics, backend } = setup();
    const first = await ask(request);
    for (let again = 0; again < 4; again++) {
      const { status, headers, reply } = await ask(request);
      assert.equal(status, 200);
      assert.deepEqual(headers, first.headers);
      assert.equal(reply.contentType, first.reply.contentType);
      assert.equal(text(reply.body), text(first.reply.body));
    }
    const count = Array.isArray(request.input) ? request.input.length : 1;
    assert.equal(backend.ran.length, new Set([request.input].flat().map(String)).size);
    assert.equal(cache.stats.memory.hits, 4 * count, 'each counts');
    assert.equal(model.statistics.cacheHit.count, 4);
    assert.equal(model.slot.uses, 5);
    assert.equal(metrics.totals().embeddings, 5 * count);
  });
}

test('an answer is kept in memory of its own size', async () => {
  const { ask } = setup();
  for (const request of requests) {
    await ask(request);
    const { body } = (await ask(request)).reply;
    assert.ok(body instanceof Uint8Array);
    assert.equal(body.buffer.byteLength, body.byteLength, JSON.stringify(request).slice(0, 80));
  }
});

test('the Accept header is heard, and another path gives the same', async () => {
  const { ask, alias } = setup();
  const request = { input: 'abc' };
  for (let i = 0; i < 3; i++) await ask(request);
  const bytes = await ask(request, { accept: 'application/octet-stream' });
  assert.equal(bytes.reply.contentType, 'application/octet-stream');
  assert.equal((await ask(request)).reply.contentType, 'application/json');
  const other = await callOperation(alias, { model: 'held', ...request });
  assert.deepEqual(other.json(), (await ask(request)).json());
});

test('what was forgotten is computed again, by inputs as good as new', async () => {
  const { ask, cache, backend } = setup();
  const request = { input: [[5, 6], [7]] };
  for (let i = 0; i < 3; i++) await ask(request);
  await cache.delete({});
  const again = await ask(request);
  assert.deepEqual(again.json().data.map((item: { embedding: number[] }) => item.embedding[0]), [2, 1]);
  assert.equal(backend.ran.length, 4);
  assert.deepEqual((await ask(request)).json(), again.json());
});

test('an error is said each time', async () => {
  const { ask } = setup();
  for (let i = 0; i < 3; i++) {
    assert.equal((await ask({ input: '' })).status, 400);
    assert.equal((await ask({ input: 'a', dimensions: 7 })).status, 400);
    assert.equal((await ask({ input: [[1, 100_257]] })).status, 400);
  }
});

test('an unloaded model is loaded again', async () => {
  const { ask, model, backend } = setup();
  for (let i = 0; i < 3; i++) await ask({ input: 'abc' });
  await model.unload();
  assert.equal(model.state, 'absent');
  assert.equal((await ask({ input: 'abc' })).status, 200);
  assert.equal(model.state, 'ready');
  assert.deepEqual(backend.ran, ['abc']);
});
