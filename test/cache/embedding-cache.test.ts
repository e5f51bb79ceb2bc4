import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EmbedInput, EmbedOptions } from '../../src/backend/protocol.ts';
import { Batcher } from '../../src/batch/batcher.ts';
import { EmbeddingCache, type EmbeddingCacheOptions } from '../../src/cache/embedding-cache.ts';
import { ServerError } from '../../src/errors.ts';
import { HeldBackend } from '../support/held-backend.ts';
import { until } from '../support/until.ts';

const plain: EmbedOptions = Object.freeze({ prompt: '', truncation: 'right', dimension: 0, normalize: undefined });
const nobodyLeaves = { cancelled: false };

function heldCache(options: Partial<EmbeddingCacheOptions> = {}) {
  const backend = new HeldBackend();
  backend.flowing = true;
  let dropped = 0;
  const observer = { batchEnded: () => {}, inputsDropped: (count: number) => (dropped += count) };
  const batcher = new Batcher(backend, 100_000, observer);
  const cache = new EmbeddingCache({ memoryBytesMax: 1e6, ttlMs: 60_000, sliding: true, precision: 'lossless', ...options });
  const model = { identity: 'held', batcher };
  const embed = (inputs: readonly EmbedInput[], waiter = nobodyLeaves, wanted = plain, identity = 'held') => {
    return cache.embed({ identity, batcher }, inputs, wanted, waiter);
  };
  return { backend, cache, model, embed, dropped: () => dropped };
}

test('of a batch with one new text, one is computed', async () => {
  const { backend, embed } = heldCache();
  await embed(['a', 'bb']);
  const { rows, cache } = await embed(['bb', 'ccc', 'a']);
  assert.deepEqual(backend.ran, ['a', 'bb', 'ccc']);
  assert.deepEqual(rows.map((row) => [...row]), [[2, 1], [3, 1], [1, 1]]);
  assert.deepEqual([cache.hits, cache.misses], [2, 1]);
});

test('a hit tells of tokens and truncation as the computed answer did', async () => {
  const { embed } = heldCache();
  const long = 'x'.repeat(300);
  const first = await embed([long]);
  const second = await embed([long]);
  assert.equal(second.cache.hits, 1);
  for (const { tokensGiven, tokensKept } of [first, second]) assert.deepEqual([tokensGiven[0], tokensKept[0]], [302, 256]);
});

test('equal texts of one request are computed once', async () => {
  const { backend, embed, cache } = heldCache();
  const { rows } = await embed(['a', 'a', 'b', 'a']);
  assert.deepEqual(backend.ran, ['a', 'b']);
  assert.equal(rows.length, 4);
  assert.equal(cache.stats.joins, 2);
});

test('many clients that ask for the same new texts have each computed once', async () => {
  const { backend, embed, cache } = heldCache();
  const texts = Array.from({ length: 100 }, (_, i) => `text ${i}`);
  const answers = await Promise.all(Array.from({ length: 64 }, () => embed(texts)));
  assert.equal(backend.ran.length, 100);
  assert.equal(cache.stats.computed, 100);
  for (const { rows } of answers) assert.deepEqual(rows.map((row) => row[0]), texts.map(({ length }) => length));
});

test('whoever joined still gets the answer when the first to ask leaves', async () => {
  const { backend, embed, dropped } = heldCache();
  backend.flowing = false;
  const busy = embed(['busy']);
  await until(() => backend.running.length === 1, 'a batch runs');
  const leaver = { cancelled: false };
  const first = embed(['shared', 'only mine'], leaver);
  first.catch(() => {});
  const second = embed(['shared']);
  leaver.cancelled = true;
  backend.flowing = true;
  backend.running[0]!.release();
  assert.deepEqual([...(await second).rows[0]!], [6, 1]);
  await assert.rejects(first, (error: ServerError) => error.code === 'CANCELLED');
  await busy;
  assert.deepEqual(backend.ran, ['busy', 'shared']);
  assert.equal(dropped(), 1);
});

test('what nobody waits for any more never runs, and is computed for whoever asks later', async () => {
  const { backend, embed } = heldCache();
  backend.flowing = false;
  const busy = embed(['busy']);
  await until(() => backend.running.length === 1, 'a batch runs');
  const leaver = { cancelled: false };
  const left = Promise.all([embed(['shared'], leaver), embed(['shared'], leaver)]);
  left.catch(() => {});
  leaver.cancelled = true;
  backend.flowing = true;
  backend.running[0]!.release();
  await assert.rejects(left, (error: ServerError) => error.code === 'CANCELLED');
  await busy;
  assert.deepEqual(backend.ran, ['busy']);
  await embed(['shared']);
  assert.deepEqual(backend.ran, ['busy', 'shared']);
});

test('a failure fails all who joined and leaves nothing behind', async () => {
  const { backend, embed } = heldCache();
  backend.flowing = false;
  const both = [embed(['a']), embed(['a', 'b'])];
  for (const each of both) each.catch(() => {});
  // The batch of both, then each request's part by itself.
  for (let run = 0; run < 3; run++) {
    await until(() => backend.running.length === 1, 'a batch runs');
    backend.running[0]!.fail(new ServerError('BACKEND_FAILED', 'broken'));
  }
  for (const each of both) await assert.rejects(each, (error: ServerError) => error.message === 'broken');
  backend.flowing = true;
  const { rows, cache } = await embed(['a']);
  assert.deepEqual([rows.length, cache.misses], [1, 1]);
});

test('a full queue refuses the request and those that joined it, and leaves nothing behind', async () => {
  const backend = new HeldBackend();
  const batcher = new Batcher(backend, 8, { batchEnded: () => {}, inputsDropped: () => {} });
  const cache = new EmbeddingCache({ memoryBytesMax: 1e6, ttlMs: 60_000, sliding: true, precision: 'lossless' });
  const embed = (text: string) => cache.embed({ identity: 'held', batcher }, [text], plain, nobodyLeaves);
  const running = embed('running');
  await until(() => backend.running.length === 1, 'a batch runs');
  const waiting = embed('waiting for its turn, long');
  await assert.rejects(embed('one too many'), (error: ServerError) => error.code === 'QUEUE_FULL');
  backend.flowing = true;
  backend.running[0]!.release();
  await Promise.all([running, waiting]);
  assert.equal((await embed('one too many')).rows.length, 1);
});

test('another model, prompt, dimension, end or kind of input never shares a vector', async () => {
  const { backend, embed } = heldCache();
  await embed(['a']);
  await embed(['a'], nobodyLeaves, plain, 'other revision');
  for (const change of [{ prompt: 'query: ' }, { dimension: 1 }, { truncation: 'left' }, { normalize: true }, { normalize: false }] as const) {
    await embed(['a'], nobodyLeaves, { ...plain, ...change });
  }
  await embed([Int32Array.of(97)]);
  assert.equal(backend.ran.length, 8);
  await embed([Int32Array.of(97)], nobodyLeaves, { ...plain, prompt: 'ids have none' });
  assert.equal(backend.ran.length, 8);
});

test('memory stays below its bound, the least used go first', async () => {
  const { embed, cache } = heldCache({ memoryBytesMax: 5000 });
  await embed(['kept']);
  for (let i = 0; i < 50; i++) await embed([`text ${i}`, 'kept']);
  const { memory } = cache.stats;
  assert.ok(memory.bytes <= 5000 && memory.entries > 2, JSON.stringify(memory));
  assert.equal(memory.evictions, 51 - memory.entries);
  assert.equal((await embed(['kept'])).cache.hits, 1);
});

test('peek has all vectors or none, without waiting', async () => {
  const { embed, cache } = heldCache();
  assert.equal(cache.peek('held', ['a'], plain), undefined);
  await embed(['a', 'bb']);
  assert.deepEqual(cache.peek('held', ['bb', 'a'], plain)!.rows.map((row) => row[0]), [2, 1]);
  assert.equal(cache.peek('held', ['a', 'new'], plain), undefined);
  assert.equal(cache.peek('another', ['a'], plain), undefined);
});

test('vectors of a model or of one text are deleted, whatever was asked of it', async () => {
  const { embed, cache } = heldCache();
  await embed(['a', 'b']);
  await embed(['a'], nobodyLeaves, { ...plain, dimension: 1 });
  await embed(['a'], nobodyLeaves, plain, 'other');
  assert.equal(await cache.delete({ identity: 'held', input: 'a' }), 2);
  assert.equal((await embed(['b'])).cache.hits, 1);
  assert.equal(await cache.delete({ identity: 'held' }), 1);
  assert.equal((await embed(['a'], nobodyLeaves, plain, 'other')).cache.hits, 1);
  await embed(['a', 'b']);
  assert.equal(await cache.delete({ input: 'a' }), 2, 'of every model');
  assert.equal(await cache.delete({}), 1);
});

test('without memory equal texts still share a computation, and nothing is kept', async () => {
  const { backend, embed, cache } = heldCache({ memoryBytesMax: 0 });
  await Promise.all([embed(['a']), embed(['a'])]);
  assert.equal(backend.ran.length, 1);
  assert.equal(cache.peek('held', ['a'], plain), undefined);
  await embed(['a']);
  assert.equal(backend.ran.length, 2);
});

test('what is being computed while its text is forgotten is answered and not kept', async () => {
  const { backend, cache, embed } = heldCache();
  backend.flowing = false;
  const first = embed(['secret', 'other']);
  await until(() => backend.running.length === 1, 'a batch runs');
  await cache.delete({ input: 'secret' });
  backend.flowing = true;
  backend.running[0]!.release();
  assert.deepEqual((await first).rows.map(([length]) => length), [6, 5]);
  assert.equal(cache.peek('held', ['secret'], plain), undefined);
  assert.ok(cache.peek('held', ['other'], plain));
});
