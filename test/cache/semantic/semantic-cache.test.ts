import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../../src/cache/semantic/store.ts';
import type { Judge, Learning } from '../../../src/cache/semantic/types.ts';
import { bytes, countingMetrics, embed, limits, never, openCache, partition, put, textOf, vectorOf } from './support.ts';

test('the same text is found without an embedding, whatever its white space and Unicode form', async (t) => {
  const cache = await openCache(t);
  await put(cache, 'Où est le café ?');
  const found = await cache.lookup(partition, '  Où est\tle cafe\u0301 ? ', never);
  assert.ok(found.hit);
  assert.deepEqual([found.tier, found.similarity, found.reason], ['exact', 1, 'the same text']);
  assert.equal(textOf(found.entry.answer), 'answer to Où est le café ?');
});

test('another wording is found by its vector, another question is not, and each says why', async (t) => {
  const cache = await openCache(t);
  const { id } = await put(cache, 'what is machine learning');
  const hit = await cache.lookup(partition, 'machine learning what is', embed('machine learning what is'));
  assert.ok(hit.hit && hit.tier === 'semantic' && hit.entry.id === id);
  assert.match(hit.reason, /^cosine 1\.0000 >= 0\.85$/);
  const miss = await cache.lookup(partition, 'who won the cup', embed('who won the cup'));
  assert.ok(!miss.hit && miss.nearest?.id === id);
  assert.match(miss.nearest.reason, /^cosine .* < 0\.85$/);
});

test('nothing is embedded where there is nothing to compare with', async (t) => {
  const cache = await openCache(t);
  await put(cache, 'a question');
  assert.deepEqual(await cache.lookup({ ...partition, key: 'other' }, 'another', never), { hit: false });
  assert.deepEqual(await cache.lookup({ ...partition, namespace: 'two' }, 'a question', never), { hit: false });
});

test('a client may ask for more similarity than the server, not for less', async (t) => {
  const cache = await openCache(t);
  await put(cache, 'one two three four five six seven eight nine ten eleven twelve');
  const near = 'one two three four five six seven eight nine ten eleven dozen';
  const { similarity } = (await cache.lookup(partition, near, embed(near), { thresholdMin: 0.1 })) as { similarity: number };
  assert.ok(similarity > 0.85 && similarity < 0.99);
  assert.equal((await cache.lookup(partition, near, embed(near), { thresholdMin: 0.99 })).hit, false);
  for (const thresholdMin of [NaN, 2, -1]) {
    await assert.rejects(cache.lookup(partition, near, embed(near), { thresholdMin }), { code: 'REQUEST_INVALID', field: 'similarity_threshold' });
  }
});

test('no vector that is not finite, has no direction or another length gets in or is searched for', async (t) => {
  const cache = await openCache(t);
  await put(cache, 'a question');
  const bad = [new Float32Array(32), new Float32Array(31).fill(1), new Float32Array(32).fill(NaN), new Float32Array(32).fill(Infinity)];
  for (const vector of bad) {
    await assert.rejects(cache.put(partition, { question: 'bad', vector, answer: bytes('') }), { code: 'INTERNAL' });
    await assert.rejects(cache.lookup(partition, 'bad', async () => vector), { code: 'INTERNAL' });
  }
  assert.equal(cache.stats().entries, 1);
});

test('a new answer to the same text takes the place of the old one', async (t) => {
  const cache = await openCache(t);
  await put(cache, 'a question', 'old');
  const { id } = await put(cache, 'a  question', 'new');
  const found = await cache.lookup(partition, 'a question', never);
  assert.ok(found.hit && found.entry.id === id && textOf(found.entry.answer) === 'new');
  assert.equal(cache.stats().entries, 1);
});

test('the least recently used entry of a full namespace leaves, and other namespaces keep theirs', async (t) => {
  const cache = await openCache(t, { limits: { ...limits, entriesMaxPerNamespace: 3 } });
  const other = { ...partition, namespace: 'two' };
  await put(cache, 'of another tenant', 'kept', other);
  for (const question of ['a', 'b', 'c']) await put(cache, question);
  await cache.lookup(partition, 'a', never);
  await put(cache, 'd');
  assert.deepEqual(cache.list('one').entries.map(({ question }) => question), ['a', 'c', 'd']);
  assert.equal(cache.list('two').total, 1);
});

test('when all memory is full the largest namespace pays', async (t) => {
  const cache = await openCache(t, { limits: { ...limits, bytesMax: 60_000 } });
  await put(cache, 'small', 'x', { ...partition, namespace: 'two' });
  for (let i = 0; i < 50; i++) await put(cache, `question ${i}`, 'y'.repeat(1000));
  assert.ok(cache.stats().bytes <= 60_000);
  assert.equal(cache.list('two').total, 1);
  assert.ok(cache.list('one').total > 5);
});

test('an entry ends after its time, a sliding one after its last use', async (t) => {
  let nowMs = 1e12;
  const cache = await openCache(t, { now: () => nowMs, ttlMs: 1000 });
  await put(cache, 'absolute');
  await cache.put(partition, { question: 'sliding', vector: vectorOf('sliding'), answer: bytes(''), ttlMs: 1000, sliding: true });
  await cache.put(partition, { question: 'for ever', vector: vectorOf('for ever'), answer: bytes(''), ttlMs: Infinity });
  nowMs += 900;
  assert.ok((await cache.lookup(partition, 'sliding', never)).hit);
  nowMs += 900;
  assert.ok((await cache.lookup(partition, 'sliding', never)).hit);
  assert.equal((await cache.lookup(partition, 'absolute', embed('absolute'))).hit, false);
  nowMs += 1e9;
  assert.deepEqual(cache.list('one').entries.map(({ question }) => question), ['for ever']);
});

test('entries are listed and deleted by id, tag and age, in their own namespace only', async (t) => {
  let nowMs = 1e12;
  const cache = await openCache(t, { now: () => nowMs++ });
  const add = (question: string, tags: string[]) => (
    cache.put(partition, { question, vector: vectorOf(question), answer: bytes(question), tags }));
  const first = await add('first', ['x']);
  await add('second', ['x', 'y']);
  nowMs += 5000;
  await add('third', ['y']);
  await put(cache, 'first', 'theirs', { ...partition, namespace: 'two' });
  assert.deepEqual(cache.list('one', { tag: 'y', limit: 1 }).total, 2);
  assert.deepEqual(cache.list('one', { offset: 1, limit: 1 }).entries.map(({ question }) => question), ['second']);
  assert.equal(cache.get('two', first.id), undefined);
  assert.equal(await cache.delete('two', { id: first.id }), 0);
  assert.equal(await cache.delete('one', { id: first.id }), 1);
  assert.equal(await cache.delete('one', { olderThanMs: 4000 }), 1);
  await assert.rejects(cache.delete('one', {}), { code: 'REQUEST_INVALID' });
  assert.equal(await cache.delete('one', { tag: 'x' }), 0);
  assert.equal(await cache.delete('one', { all: true }), 1);
  assert.equal(cache.list('two').total, 1);
});

test('an entry that is larger than its namespace may be is refused and drives nobody out', async (t) => {
  const cache = await openCache(t, { limits: { ...limits, bytesMaxPerNamespace: 10_000 } });
  await put(cache, 'small');
  await assert.rejects(put(cache, 'large', 'x'.repeat(10_000)), { code: 'REQUEST_TOO_LARGE' });
  assert.deepEqual(cache.list('one').entries.map(({ question }) => question), ['small']);
});

test('a store that fails fails the put and the delete, and hits go on', async (t) => {
  const store = new MemoryStore();
  const metrics = countingMetrics();
  const cache = await openCache(t, { store, metrics });
  const { id } = await put(cache, 'a question');
  const { write } = store;
  store.write = async () => {
    throw new Error('disk full at /secret/place');
  };
  await assert.rejects(put(cache, 'another'), { code: 'BACKEND_FAILED', message: 'The store of the semantic cache is not available.' });
  await assert.rejects(cache.delete('one', { id }), { code: 'BACKEND_FAILED' });
  assert.ok((await cache.lookup(partition, 'a question', never)).hit);
  assert.equal((await cache.lookup(partition, 'another', embed('another'))).hit, false);
  assert.equal(metrics.counts['storeFailed'], 2);
  store.write = write;
  assert.equal(await cache.delete('one', { id }), 1);
});

test('a wrong hit leaves, and what it taught outlives it', async (t) => {
  const observed: [number, boolean][] = [];
  const learning: Learning = {
    start: () => 0,
    observe: (state, similarity, correct) => {
      observed.push([similarity, correct]);
      return correct ? state : Math.max(state as number, similarity);
    },
    decide: (state, similarity) => (similarity > (state as number) ? 'exploit' : 'explore'),
  };
  const cache = await openCache(t, { policy: { mode: 'cosine', threshold: 0.85, learning } });
  const near = 'three two one';
  const { id } = await put(cache, 'one two three');
  assert.ok((await cache.lookup(partition, near, embed(near))).hit);
  assert.equal(await cache.feedback('two', id, { question: near, wrong: true }), false);
  assert.equal(await cache.feedback('one', id, { question: near, wrong: true }), true);
  assert.equal(cache.get('one', id), undefined);
  await put(cache, 'one two three');
  const refused = await cache.lookup(partition, near, embed(near));
  assert.ok(!refused.hit && /earlier feedback/.test(refused.nearest!.reason));
  const again = refused.nearest!.id;
  assert.equal(await cache.feedback('one', again, { question: near, wrong: false }), true);
  assert.ok((await cache.lookup(partition, 'one two three', never)).hit, 'the same text is not a matter of similarity');
  assert.deepEqual(observed.map(([similarity, correct]) => [similarity > 0.99, correct]), [[true, false], [true, true]]);
  assert.deepEqual([cache.stats().falseHitsReported, cache.stats().refused], [1, 1]);
});

test('a verdict is asked about what is above the threshold, nearest first, and says why', async (t) => {
  const asked: string[] = [];
  const judge: Judge = ({ cached }) => {
    asked.push(cached);
    return { same: cached === 'three one two', score: 1, reason: `about ${cached}` };
  };
  const metrics = countingMetrics();
  const cache = await openCache(t, { policy: { mode: 'verified', threshold: 0.85, judge }, metrics });
  for (const question of ['one two three', 'three one two', 'something else']) await put(cache, question);
  const found = await cache.lookup(partition, 'two three one', embed('two three one'));
  assert.ok(found.hit && found.entry.question === 'three one two');
  assert.match(found.reason, /about three one two$/);
  assert.ok(asked.length <= 2 && !asked.includes('something else'));
  await cache.delete('one', { id: found.entry.id });
  const refused = await cache.lookup(partition, 'two three one', embed('two three one'));
  assert.ok(!refused.hit && /about one two three$/.test(refused.nearest!.reason));
  assert.equal(metrics.counts['refused'], 1);
  const without = await openCache(t, { policy: { mode: 'verified', threshold: 0.85 } });
  await put(without, 'one two three');
  assert.equal((await without.lookup(partition, 'two three one', embed('two three one'))).hit, false, 'no verdict is no hit');
});
