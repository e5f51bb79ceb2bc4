import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LmdbStore } from '../../../src/cache/semantic/lmdb-store.ts';
import type { SemanticCache } from '../../../src/cache/semantic/semantic-cache.ts';
import { bytes, dimension, embed, never, openCache, partition, put, silent, vectorOf } from './support.ts';

async function collect(cache: SemanticCache, namespace?: string): Promise<string> {
  let text = '';
  for await (const line of cache.dump(namespace)) text += line;
  return text;
}

async function* chunksOf(text: string, size = 1000): AsyncIterable<Uint8Array> {
  const all = bytes(text);
  for (let at = 0; at < all.length; at += size) yield all.subarray(at, at + size);
}

test('what was dumped is loaded with all it had, in whatever pieces it comes', async (t) => {
  const from = await openCache(t);
  await from.put(partition, { question: 'où est\nle café', vector: vectorOf('ou est'), answer: Uint8Array.of(0, 255, 10), tags: ['a'], ttlMs: 1e9, sliding: true });
  await put(from, 'second');
  await put(from, 'of another', 'x', { namespace: 'two', key: 'k' });
  await from.lookup(partition, 'second', never);
  const to = await openCache(t);
  assert.deepEqual(await to.load(chunksOf(await collect(from), 7)), { loaded: 3, passedOver: 0, refused: 0, problems: [] });
  assert.deepEqual(to.list('one').entries, from.list('one').entries);
  assert.deepEqual(to.list('two').entries, from.list('two').entries);
  assert.equal(await collect(to), await collect(from));
  assert.ok((await to.lookup(partition, 'est ou', embed('est ou'))).hit);
  assert.deepEqual((await to.load(chunksOf(await collect(from)))).passedOver, 3);
});

test('one tenant is dumped alone, and loaded under another name it is another tenant\'s', async (t) => {
  const cache = await openCache(t);
  await put(cache, 'mine');
  await put(cache, 'theirs', 'x', { namespace: 'two', key: 'k' });
  const dump = await collect(cache, 'one');
  assert.equal(dump.split('\n').length, 2);
  assert.equal((await cache.load(chunksOf(dump), { namespace: 'three' })).loaded, 1);
  assert.deepEqual(cache.list('three').entries.map(({ question }) => question), ['mine']);
  assert.equal(cache.list('one').total, 1);
});

test('a file to warm up from needs no vectors where there is a model', async (t) => {
  const cache = await openCache(t);
  const line = JSON.stringify({ question: 'one two three', answer: Buffer.from('yes').toString('base64') });
  assert.equal((await cache.load(chunksOf(line), { namespace: 'one' })).refused, 1);
  assert.equal((await cache.load(chunksOf(line), { namespace: 'one', embed: async (text) => vectorOf(text) })).loaded, 1);
  assert.ok((await cache.lookup({ namespace: 'one', key: '' }, 'three two one', embed('three two one'))).hit);
});

test('lines that make no sense are refused with their number and the others are loaded', async (t) => {
  const cache = await openCache(t);
  await put(cache, 'good');
  const good = JSON.parse(await collect(cache)) as Record<string, unknown>;
  await cache.delete('one', { all: true });
  const lines = [
    'no json', '[]', 'null', '', JSON.stringify({ ...good, question: 5 }), JSON.stringify({ ...good, vector: 'AAAA' }),
    JSON.stringify({ ...good, vector: Buffer.from(new Float32Array(32).fill(NaN).buffer).toString('base64') }),
    JSON.stringify({ ...good, answer: '***' }), JSON.stringify({ ...good, tags: [1] }), JSON.stringify({ ...good, createdMs: -1 }),
    JSON.stringify({ ...good, expiresMs: 5 }), JSON.stringify({ ...good, id: '../../x' }),
  ];
  const report = await cache.load(chunksOf(lines.join('\n')));
  assert.deepEqual([report.loaded, report.passedOver, report.refused], [1, 1, 9]);
  assert.match(report.problems[0]!, /^line 1: not JSON$/);
  assert.match(report.problems[3]!, /^line 5: question must be a string$/);
  assert.notEqual(cache.list('one').entries[0]!.id, '../../x');
});

test('an entry with times of the future is used and replaced as any other', async (t) => {
  const cache = await openCache(t, { now: () => 1e12 });
  await put(cache, 'early');
  const early = JSON.parse(await collect(cache)) as Record<string, unknown>;
  await cache.delete('one', { all: true });
  // Microseconds instead of milliseconds.
  const line = JSON.stringify({ ...early, createdMs: 1e15, lastUsedMs: 1e15, ttlMs: 5000, expiresMs: 1e12 + 4000, sliding: true });
  assert.equal((await cache.load(chunksOf(line))).loaded, 1);
  await cache.lookup(partition, 'early', never);
  const { uses, expiresMs } = cache.list('one').entries[0]!;
  assert.deepEqual([uses, expiresMs], [1, 1e12 + 5000]);
  assert.equal((await put(cache, 'early')).createdMs, 1e12 + 1);
});

test('times that no store can keep are refused', async (t) => {
  const cache = await openCache(t);
  await put(cache, 'early');
  const early = JSON.parse(await collect(cache)) as Record<string, unknown>;
  await cache.delete('one', { all: true });
  const lines = ['expiresMs', 'ttlMs'].map((name) => JSON.stringify({ ...early, [name]: 1e21 }));
  assert.equal((await cache.load(chunksOf(lines.join('\n')))).refused, 2);
});

test('a model that changes amid a dump gives no entry the vector of another one', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-dump-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const cache = await openCache(t, { store: new LmdbStore(directory, silent) });
  for (const question of ['one', 'two', 'three']) await put(cache, question);
  const lines: { question: string; vector?: string }[] = [];
  for await (const line of cache.dump()) {
    lines.push(JSON.parse(line));
    if (lines.length > 1) continue;
    await cache.useModel({ identity: 'words-2', dimension });
    for (const question of ['four', 'five', 'six']) await put(cache, question);
  }
  assert.deepEqual(lines.map(({ question }) => question), ['one', 'two', 'three']);
  for (const { question, vector } of lines.slice(1)) assert.equal(vector, undefined, question);
});

test('of two lines with one id the first is loaded', async (t) => {
  const from = await openCache(t);
  await put(from, 'first');
  const line = await collect(from);
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-load-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const open = () => openCache(t, { store: new LmdbStore(directory, silent) });
  const to = await open();
  const report = await to.load(chunksOf(line + line.replace('"first"', '"second"')));
  assert.deepEqual([report.loaded, report.passedOver], [1, 1]);
  await to.close();
  const again = await open();
  assert.deepEqual(again.list('one').entries.map(({ question }) => question), ['first']);
});

test('a namespace that no administrator could name is refused', async (t) => {
  const cache = await openCache(t);
  const line = (namespace: string) => JSON.stringify({ namespace, key: 'k', question: 'q', answer: '' });
  const report = await cache.load(chunksOf(['', 'of one', 'key:a@b', '*', 'x'.repeat(121)].map(line).join('\n')), { embed: async (question) => vectorOf(question) });
  assert.deepEqual([report.loaded, report.refused], [1, 4]);
  assert.match(report.problems[0]!, /^line 1: namespace must be/);
});
