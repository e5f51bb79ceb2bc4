// The official npm client, unchanged, against the real server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { APIError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { startServerProcess } from '../support/server-process.ts';

const model = 'all-MiniLM-L6-v2';

function clientOf(url: string, options: { maxRetries?: number } = {}): OpenAI {
  return new OpenAI({ apiKey: 'unused', baseURL: `${url}/v1`, maxRetries: 0, ...options });
}

async function rejection(promise: Promise<unknown>): Promise<APIError> {
  return promise.then(
    () => assert.fail('the request succeeded'),
    (error: unknown) => error as APIError,
  );
}

test('the official npm client works unchanged', async (t) => {
  const server = await startServerProcess(t);
  const client = clientOf(server.url);

  await t.test('it asks for base64 by default and gets unit vectors of 384 values', async () => {
    const { data, usage, model: echoed } = await client.embeddings.create({ model, input: 'Hello, world!' });
    assert.equal(data[0]!.embedding.length, 384);
    assert.ok(Math.abs(Math.hypot(...data[0]!.embedding) - 1) < 1e-5);
    assert.deepEqual(usage, { prompt_tokens: 6, total_tokens: 6 });
    assert.equal(echoed, model);
  });

  await t.test('floats and base64 are the same vectors, in request order', async () => {
    const input = ['first', 'second one', 'a third that is somewhat longer'];
    const base64 = await client.embeddings.create({ model, input });
    const floats = await client.embeddings.create({ model, input, encoding_format: 'float' });
    for (let i = 0; i < input.length; i++) {
      assert.equal(floats.data[i]!.index, i);
      const difference = base64.data[i]!.embedding.map((value, j) => Math.abs(value - floats.data[i]!.embedding[j]!));
      assert.ok(Math.max(...difference) < 1e-6);
    }
  });

  await t.test('token ids give the vector of their text', async () => {
    const text = await client.embeddings.create({ model, input: 'Hello, world!' });
    const ids = await client.embeddings.create({ model, input: [[7592, 1010, 2088, 999]] });
    const cosine = text.data[0]!.embedding.reduce((sum, value, i) => sum + value * ids.data[0]!.embedding[i]!, 0);
    assert.ok(cosine > 0.99999);
  });

  await t.test('dimensions are refused by a model that was not trained for them', async () => {
    const error = await rejection(client.embeddings.create({ model, input: 'a', dimensions: 128 }));
    assert.ok(error instanceof BadRequestError);
    assert.equal(error.param, 'dimensions');
  });

  await t.test('an unknown model is a NotFoundError with its code', async () => {
    const error = await rejection(client.embeddings.create({ model: 'text-embedding-3-small', input: 'a' }));
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, 'model_not_found');
    assert.equal(error.type, 'invalid_request_error');
  });

  await t.test('a text of a million characters and a body beyond the limit are refused, and the client works on', async () => {
    const long = await rejection(client.embeddings.create({ model, input: ['ok', 'x'.repeat(1_000_000)] }));
    assert.equal(long.status, 400);
    assert.equal(long.param, 'input[1]');
    const large = await rejection(client.embeddings.create({ model, input: 'x'.repeat(11 * 1024 * 1024) }));
    // The server answers before the body is over and closes; a client may see either.
    assert.ok(large.status === 413 || large.status === undefined, String(large.status));
    assert.equal((await client.embeddings.create({ model, input: 'still there' })).data.length, 1);
  });

  await t.test('2,048 inputs are one request, 2,049 are refused', async () => {
    const input = Array<string>(2048).fill('a');
    assert.equal((await client.embeddings.create({ model, input })).data.length, 2048);
    assert.equal((await rejection(client.embeddings.create({ model, input: [...input, 'a'] }))).status, 400);
  });

  await t.test('models are listed and found, with the slash in their name', async () => {
    const names = [];
    for await (const each of client.models.list()) names.push(each.id);
    assert.deepEqual(names, ['sentence-transformers/all-MiniLM-L6-v2']);
    assert.equal((await client.models.retrieve('sentence-transformers/all-MiniLM-L6-v2')).object, 'model');
    assert.ok((await rejection(client.models.retrieve('nope'))) instanceof NotFoundError);
  });

  await t.test('every answer has a request id that the client can read', async () => {
    const { _request_id: id } = await client.embeddings.create({ model, input: 'a' });
    assert.match(id!, /^[\w.:-]{1,64}$/);
  });
});

test('the client is told when to come back, and does', async (t) => {
  const server = await startServerProcess(t, { ENABLE_RATE_LIMIT: 'true', RATE_LIMIT_REQUESTS: '2' });
  const client = clientOf(server.url);
  const first = await client.embeddings.create({ model, input: 'a' }).withResponse();
  assert.equal(first.response.headers.get('x-ratelimit-limit-requests'), '2');
  assert.equal(first.response.headers.get('x-ratelimit-remaining-requests'), '1');
  await client.embeddings.create({ model, input: 'a' });
  const error = await rejection(client.embeddings.create({ model, input: 'a' }));
  assert.ok(error instanceof RateLimitError);
  const waitMs = Number(error.headers!.get('retry-after-ms'));
  assert.ok(waitMs > 0 && waitMs <= 60_000);
  assert.ok(Number(error.headers!.get('retry-after')) >= 1);
});

test('the client retries a 429 of a full queue by itself', async (t) => {
  const server = await startServerProcess(t, { QUEUE_TOKENS_MAX: '300', THREAD_POOL_WORKERS: '1' });
  const client = clientOf(server.url, { maxRetries: 8 });
  const long = 'word '.repeat(250);
  // Equal inputs would be computed once.
  const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => client.embeddings.create({ model, input: `${i} ${long}` })));
  assert.ok(answers.every((answer) => answer.data[0]!.embedding.length === 384));
  assert.ok((await server.metric('ortserve_errors_total{code="QUEUE_FULL"}')) > 0);
});
