// The embedded history under kill -9, other processes, a full disk and a lost thread.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openLmdbHistory } from '../../src/history/lmdb.ts';
import type { HistoryStore } from '../../src/history/store.ts';
import { watchThreads } from '../support/threads.ts';
import { allRows, firstPage, rowsOf, temporaryDirectory } from './rows.ts';

const writerFile = fileURLToPath(new URL('./lmdb-writer.js', import.meta.url));
const kills = 30;

type Writer = { readonly child: ChildProcess; output: string };

function startWriter(args: readonly (string | number)[], blocksMax?: number): Writer {
  const limit = blocksMax === undefined ? '' : `ulimit -f ${blocksMax};`;
  const command = ['-c', `${limit} exec "$@"`, 'sh', process.execPath, writerFile, ...args.map(String)];
  // LMDB itself reports a full disk on stderr.
  const child = spawn('sh', command, { stdio: ['ignore', 'pipe', blocksMax === undefined ? 'inherit' : 'ignore'] });
  const writer: Writer = { child, output: '' };
  child.stdout!.on('data', (chunk: Buffer) => (writer.output += chunk.toString()));
  return writer;
}

/** Reads every row and holds all counts against them. */
async function checkWhole(store: HistoryStore): Promise<Set<string>> {
  const rows = await allRows(store);
  assert.equal((await store.page(firstPage)).total, rows.length);
  const versions = new Map<string, number>();
  for (const { version } of rows) versions.set(version, (versions.get(version) ?? 0) + 1);
  for (const [version, count] of versions) {
    assert.equal((await store.page({ ...firstPage, version })).total, count);
    assert.equal((await allRows(store, { version })).length, count);
  }
  assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length);
  return new Set(rows.map((row) => row.request_id));
}

test(`a process killed at ${kills} random moments loses no acknowledged row and harms none`, async (t) => {
  const directory = temporaryDirectory(t);
  let first = 0;
  let acknowledged = 0;
  for (let round = 0; round < kills; round += 1) {
    const writer = startWriter([directory, first, 100_000, 20]);
    while (writer.output === '' && writer.child.exitCode === null) await sleep(5);
    await sleep(Math.random() * 60);
    writer.child.kill('SIGKILL');
    await once(writer.child, 'close');
    acknowledged = Number(/(\d+)\n[^\n]*$/.exec(writer.output)![1]);
    assert.ok(acknowledged > first);
    const store = await openLmdbHistory(directory);
    const known = await checkWhole(store);
    await store.close();
    for (let number = 0; number < acknowledged; number += 1) {
      assert.ok(known.has(String(number)), `row ${number} of round ${round}`);
    }
    assert.ok(known.size - acknowledged <= 20 && known.size % 20 === 0, 'a batch is there or not');
    first = known.size;
  }
  t.diagnostic(`${acknowledged} rows acknowledged in ${kills} lives`);
});

test('processes that write to one folder at once keep every row', async (t) => {
  const directory = temporaryDirectory(t);
  const writers = [0, 1, 2].map((index) => startWriter([directory, index * 100_000, 40, 25]));
  const store = await openLmdbHistory(directory);
  t.after(() => store.close());
  const ended = Promise.all(writers.map(({ child }) => once(child, 'close')));
  let isOver = false;
  void ended.then(() => (isOver = true));
  while (!isOver) {
    const { rows, total } = await store.page({ limit: 500, offset: 0 });
    assert.ok(rows.length === Math.min(total, 500) || rows.length % 25 === 0);
    await sleep(5);
  }
  const known = await checkWhole(store);
  assert.equal(known.size, 3000);
});

test('a full disk fails the write, harms nothing, and later writes work', async (t) => {
  const directory = temporaryDirectory(t);
  const writer = startWriter([directory, 0, 60, 200], 2048);
  await once(writer.child, 'close');
  const lines = writer.output.trim().split('\n');
  const failed = lines.filter((line) => line.startsWith('failed'));
  assert.ok(failed.length > 5 && failed.length < 60, `${failed.length} writes failed`);
  assert.equal(writer.child.exitCode, 0);
  const store = await openLmdbHistory(directory);
  t.after(() => store.close());
  const acknowledged = Number(lines.filter((line) => !line.startsWith('failed')).at(-1));
  const known = await checkWhole(store);
  assert.equal(known.size, acknowledged);
  await store.append(rowsOf(100, (number) => ({ requestId: `later ${number}` })));
  assert.equal((await store.page(firstPage)).total, acknowledged + 100);
});

test('pages that rows have left are used again', async (t) => {
  const directory = temporaryDirectory(t);
  const store = await openLmdbHistory(directory);
  t.after(() => store.close());
  const rows = rowsOf(30_000);
  const sizes: number[] = [];
  for (let start = 0; start < rows.length; start += 500) {
    await store.append(rows.slice(start, start + 500));
    await store.prune({ rowsMax: 2000, keepFromMs: 0 });
    sizes.push(statSync(join(directory, 'data.mdb')).size);
  }
  assert.ok(sizes.at(-1)! <= sizes[20]! * 1.2, `${sizes[20]} grew to ${sizes.at(-1)}`);
});

test('a folder that cannot be used is refused, and can be used later', async (t) => {
  const directory = join(temporaryDirectory(t), 'a', 'b');
  writeFileSync(join(directory, '../..', 'a'), 'a file');
  await assert.rejects(openLmdbHistory(directory));
  const store = await openLmdbHistory(join(directory, '../../c'));
  await store.append(rowsOf(1));
  await store.close();
  await assert.rejects(openLmdbHistory('\0'));
});

test('a file that is no history, or only a part of one, is refused and left as it is', async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, 'data.mdb');
  const store = await openLmdbHistory(directory);
  await store.append(rowsOf(5000));
  await store.close();
  const whole = readFileSync(file);
  const damaged = [
    Buffer.alloc(16_384, 'no database'),
    Buffer.alloc(3, 'x'),
    whole.subarray(0, 5000),
    whole.subarray(0, whole.length / 2),
    Buffer.concat([whole.subarray(0, 4096), Buffer.alloc(whole.length - 4096)]),
  ];
  for (const bytes of damaged) {
    writeFileSync(file, bytes);
    await assert.rejects(openLmdbHistory(directory), /damaged/);
    assert.deepEqual(readFileSync(file), bytes);
  }
  writeFileSync(file, whole);
  const again = await openLmdbHistory(directory);
  assert.equal((await checkWhole(again)).size, 5000);
  await again.close();
});

test('long work lets writes and other pages in between', async (t) => {
  const store = await openLmdbHistory(temporaryDirectory(t));
  t.after(() => store.close());
  const rows = rowsOf(60_000);
  await store.append(rows);
  const finished: string[] = [];
  // Together they take longer than any disk takes for one row.
  const scans = Array.from({ length: 10 }, () => store.page({ ...firstPage, inferenceMsMin: 1e9 }));
  const long = Promise.all(scans).then(() => finished.push('scans'));
  const short = store.page({ limit: 1, offset: 0 }).then(() => finished.push('page'));
  const write = store.append(rowsOf(1, () => ({ requestId: 'x' }))).then(() => finished.push('write'));
  await Promise.all([long, short, write]);
  assert.equal(finished.at(-1), 'scans');
});

test('a thread that died is replaced by one, however many ask at once', async (t) => {
  const threads = watchThreads(t);
  const store = await openLmdbHistory(temporaryDirectory(t));
  await threads[0]!.worker.terminate();
  await Promise.all([store.append(rowsOf(1)), store.append(rowsOf(1)), store.page(firstPage)]);
  assert.equal((await store.page(firstPage)).total, 2);
  await store.close();
  assert.deepEqual(threads.map(({ hasEnded }) => hasEnded), [true, true]);
});
