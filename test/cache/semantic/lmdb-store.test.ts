// The embedded store under kill -9 and with damaged files.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { LmdbFile } from '../../../src/cache/semantic/lmdb-file.ts';
import { LmdbStore } from '../../../src/cache/semantic/lmdb-store.ts';
import { decodeRecord, encodeRecord, RecordError } from '../../../src/cache/semantic/record.ts';
import { SemanticCache, type SemanticCacheOptions } from '../../../src/cache/semantic/semantic-cache.ts';
import { watchThreads } from '../../support/threads.ts';
import { bytes, countingMetrics, limits, model, never, partition, put, silent, textOf, vectorOf } from './support.ts';

const writerFile = fileURLToPath(new URL('./lmdb-writer.js', import.meta.url));
const kills = 50;

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-semantic-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function open(directory: string, options: Partial<SemanticCacheOptions> = {}): Promise<SemanticCache> {
  return SemanticCache.open({
    model, store: new LmdbStore(directory, silent), policy: { mode: 'cosine', threshold: 0.85 },
    limits: { ...limits, entriesMaxPerNamespace: 1_000_000 }, metrics: countingMetrics(), log: silent, ...options,
  });
}

test(`a process killed at ${kills} random moments loses no acknowledged entry and brings none back`, async (t) => {
  const directory = temporaryDirectory(t);
  const expected = new Map<number, string>();
  const deleted = new Set<number>();
  let first = 0;
  for (let round = 0; round < kills; round += 1) {
    const child = spawn(process.execPath, [writerFile, directory, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    while (!output.includes('put ') && child.exitCode === null) await sleep(2);
    await sleep(Math.random() * 40);
    child.kill('SIGKILL');
    await once(child, 'close');
    for (const [, number, id] of output.matchAll(/^put (\d+) (\S+)$/gm)) {
      expected.set(Number(number), id!);
      first = Math.max(first, Number(number) + 8);
    }
    for (const [, number] of output.matchAll(/^deleted (\d+)$/gm)) deleted.add(Number(number));
  }
  assert.ok(expected.size > kills && deleted.size > 0);
  const cache = await open(directory);
  t.after(() => cache.close());
  for (const [number, id] of expected) {
    const entry = cache.get(partition.namespace, id);
    // A delete may have been committed without anybody hearing of it.
    if (number % 5 === 0) assert.ok(!deleted.has(number) || entry === undefined, `${number} came back`);
    else assert.ok(entry !== undefined && textOf(entry.answer) === `answer ${number}`, `${number} is lost`);
  }
});

test('entries, their uses, their ends and what was learned are there after a restart', async (t) => {
  const directory = temporaryDirectory(t);
  const learning = { start: () => 0, observe: (state: unknown) => (state as number) + 1, decide: () => 'explore' as const };
  const policy = { mode: 'cosine' as const, threshold: 0.85, learning };
  const first = await open(directory, { policy });
  const made = await first.put(partition, {
    question: 'one two three', vector: vectorOf('one two three'), answer: bytes('a\0b'), tags: ['t'], ttlMs: 3_600_000, sliding: true,
  });
  await put(first, 'four five six');
  await first.lookup(partition, 'one two three', never);
  assert.ok((await first.lookup(partition, 'three two one', async () => vectorOf('three two one'))).hit);
  const before = first.get('one', made.id)!;
  assert.equal(await first.feedback('one', made.id, { question: 'three two one', wrong: false }), true);
  await first.close();

  const second = await open(directory, { policy });
  t.after(() => second.close());
  assert.deepEqual(second.get('one', made.id), before);
  assert.equal(before.uses, 2);
  const refused = await second.lookup(partition, 'three two one', async () => vectorOf('three two one'));
  assert.ok(!refused.hit && /feedback/.test(refused.nearest!.reason));
});

test('entries of another embedding model are found by their text and never by their vector', async (t) => {
  const directory = temporaryDirectory(t);
  const first = await open(directory);
  await put(first, 'one two three');
  await first.close();
  const second = await open(directory, { model: { identity: 'words-2', dimension: 32 } });
  t.after(() => second.close());
  assert.ok((await second.lookup(partition, 'one two three', never)).hit);
  assert.deepEqual(await second.lookup(partition, 'three two one', never), { hit: false });
  assert.equal(second.stats().entriesOfOtherModels, 1);
  await second.useModel(model);
  assert.ok((await second.lookup(partition, 'three two one', async () => vectorOf('three two one'))).hit);
});

test('a store that could not be read for a new model is read again', async (t) => {
  const directory = temporaryDirectory(t);
  const store = new LmdbStore(directory, silent);
  const cache = await open(directory, { store });
  t.after(() => cache.close());
  await put(cache, 'one two three');
  t.mock.method(store, 'reload', () => Promise.reject(new Error('the disk')), { times: 1 });
  const other = { identity: 'words-2', dimension: 32 };
  await assert.rejects(cache.useModel(other), /the disk/);
  await cache.useModel(other);
  assert.ok((await cache.lookup(partition, 'one two three', never)).hit);
});

test('a damaged file is moved aside and the cache begins anew', async (t) => {
  const directory = temporaryDirectory(t);
  const first = await open(directory);
  await put(first, 'a question');
  await first.close();
  for (const content of [readFileSync(join(directory, 'data.mdb')).subarray(0, 4096), Buffer.from('not ours'.repeat(2000))]) {
    writeFileSync(join(directory, 'data.mdb'), content);
    const cache = await open(directory);
    assert.equal(cache.stats().entries, 0);
    await put(cache, 'a question');
    await cache.close();
    await sleep(2);
  }
  assert.equal(readdirSync(directory).filter((name) => name.includes('damaged')).length, 2);
});

test('a record with any byte changed or missing is refused', async () => {
  const entry = {
    id: 'i', partition, question: 'q', answer: bytes('answer'), tags: ['t'], createdMs: 1, expiresMs: undefined, ttlMs: undefined,
    sliding: false, uses: 0, lastUsedMs: 1, model: 'm',
  };
  const record = encodeRecord({ entry, vector: Float32Array.of(0.5, -1, 3) });
  assert.deepEqual(decodeRecord(record), { entry, vector: Float32Array.of(0.5, -1, 3) });
  for (let at = 0; at < record.length; at += 1) {
    const changed = Uint8Array.from(record);
    changed[at]! ^= 1 << (at % 8);
    assert.throws(() => decodeRecord(changed), RecordError);
    assert.throws(() => decodeRecord(record.subarray(0, at)), RecordError);
  }
});

test('what a put drives out has left the file, too, though nothing is written afterwards', async (t) => {
  const directory = temporaryDirectory(t);
  const cache = await open(directory, { limits: { ...limits, entriesMaxPerNamespace: 2 } });
  for (const question of ['one', 'two', 'three', 'four']) await put(cache, question);
  await cache.close();
  const again = await open(directory);
  t.after(() => again.close());
  assert.deepEqual(again.list(partition.namespace).entries.map(({ question }) => question).sort(), ['four', 'three']);
});

test('an entry that is put while everything is read anew stays, whatever its id', async (t) => {
  const store = new LmdbStore(temporaryDirectory(t), silent);
  const cache = await open('', { store });
  t.after(() => cache.close());
  await put(cache, 'before');
  let line = '';
  for await (const dumped of cache.dump()) line += dumped;
  // Of long ago: what is read in the order of ids is beyond it.
  const old = JSON.stringify({ ...(JSON.parse(line) as object), id: '00000000-0000-7000-8000-000000000000', question: 'old' });
  const reading = store.reload();
  const { loaded } = await cache.load((async function* () {
    yield old;
  })());
  await reading;
  assert.equal(loaded, 1);
  assert.deepEqual(cache.list(partition.namespace).entries.map(({ question }) => question).sort(), ['before', 'old']);
});

test('a cache that cannot be opened leaves no thread behind', async (t) => {
  const directory = temporaryDirectory(t);
  const file = await LmdbFile.open(directory);
  const entry = {
    id: 'i', partition, question: 'q', answer: bytes('answer'), tags: [], createdMs: 1, expiresMs: undefined, ttlMs: undefined,
    sliding: false, uses: 0, lastUsedMs: 1, model: model.identity,
  };
  // No cache writes such a vector.
  file.write([{ kind: 'put', id: 'i', record: encodeRecord({ entry, vector: new Float32Array(model.dimension) }) }]);
  await file.close();
  const threads = watchThreads(t);
  await assert.rejects(open(directory));
  assert.deepEqual(threads.map(({ hasEnded }) => hasEnded), [true]);
});

test('a thread that died is replaced by one, however many ask at once', async (t) => {
  const threads = watchThreads(t);
  const cache = await open(temporaryDirectory(t));
  await threads[0]!.worker.terminate();
  await Promise.all([put(cache, 'one'), cache.useModel({ identity: 'words-2', dimension: 32 })]);
  await cache.close();
  assert.deepEqual(threads.map(({ hasEnded }) => hasEnded), [true, true]);
});

test('a file that cannot be read stays where it is', async (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, 'data.mdb'));
  await assert.rejects(open(directory), /EISDIR/);
  assert.deepEqual(readdirSync(directory), ['data.mdb']);
});

test('what is deleted, dumped, loaded or told wrong while everything is read anew is all there is', async (t) => {
  const cache = await open(temporaryDirectory(t));
  t.after(() => cache.close());
  const { id } = await put(cache, 'one two three');
  await put(cache, 'four five six');
  const other = { identity: 'words-2', dimension: 32 };

  let reading = cache.useModel(other);
  const lines: string[] = [];
  for await (const line of cache.dump()) lines.push(line);
  await reading;
  assert.equal(lines.length, 2);

  reading = cache.useModel(model);
  const report = await cache.load((async function* () {
    yield* lines;
  })(), { embed: async (question) => vectorOf(question) });
  await reading;
  assert.deepEqual([report.loaded, report.passedOver], [0, 2]);

  reading = cache.useModel(other);
  assert.equal(await cache.feedback(partition.namespace, id, { wrong: true }), true);
  await reading;

  reading = cache.useModel(model);
  assert.equal(await cache.delete(partition.namespace, { all: true }), 1);
  await reading;
  assert.equal(cache.stats().entries, 0);
});

test('nothing is deleted or dumped in part when the store could not be read', async (t) => {
  const store = new LmdbStore(temporaryDirectory(t), silent);
  const cache = await open('', { store });
  t.after(() => cache.close());
  await put(cache, 'one two three');
  t.mock.method(store, 'reload', () => Promise.reject(new Error('the disk')), { times: 1 });
  await assert.rejects(cache.useModel({ identity: 'words-2', dimension: 32 }), /the disk/);
  const refused = { code: 'BACKEND_FAILED' };
  await assert.rejects(cache.delete(partition.namespace, { all: true }), refused);
  await assert.rejects(cache.dump()[Symbol.asyncIterator]().next(), refused);
  await cache.useModel({ identity: 'words-2', dimension: 32 });
  assert.equal(await cache.delete(partition.namespace, { all: true }), 1);
});

test('whoever names the model while everything is read for it has everything, too', async (t) => {
  const cache = await open(temporaryDirectory(t));
  t.after(() => cache.close());
  await put(cache, 'one two three');
  const other = { identity: 'words-2', dimension: 32 };
  const reading = cache.useModel(other);
  await cache.useModel(other);
  assert.ok((await cache.lookup(partition, 'one two three', never)).hit);
  await reading;
});
