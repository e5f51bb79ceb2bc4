// A folder of the first layout, as its own code wrote it, and what becomes of its rows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, type RootDatabase } from 'lmdb';
import { historyPruneRows } from '../../src/limits.ts';
import { openLmdbHistory } from '../../src/history/lmdb.ts';
import { binary, moveOldRows } from '../../src/history/lmdb-old-layout.ts';
import { idToBytes, type HistoryRow } from '../../src/history/row.ts';
import { allRows, firstPage, rowsOf, temporaryDirectory } from './rows.ts';

const rows = rowsOf(3000, (number) => ({ version: `v${number % 3}` }));

async function withFile<Result>(directory: string, use: (root: RootDatabase<Buffer, Buffer>) => Result): Promise<Result> {
  const root = open<Buffer, Buffer>({ path: directory, noSubdir: false, maxDbs: 6, ...binary });
  try {
    return use(root);
  } finally {
    await root.close();
  }
}

function writeOld(root: RootDatabase<Buffer, Buffer>, added: readonly HistoryRow[]): void {
  const [table, index, series, meta] = ['rows', 'index', 'series', 'meta'].map((name) => (
    root.openDB<Buffer, Buffer>(name, binary)));
  const head = Buffer.alloc(24, 0x7b);
  root.transactionSync(() => {
    for (const row of added) {
      table!.putSync(idToBytes(row.id), Buffer.concat([head, Buffer.from(JSON.stringify(row))]));
      index!.putSync(Buffer.concat([head.subarray(8), idToBytes(row.id)]), head.subarray(0, 8));
    }
    series!.putSync(head.subarray(8), Buffer.from('12345678["v0","compressor","success"]'));
    meta!.putSync(Buffer.from('rows'), head.subarray(0, 8));
  });
}

test('rows of the first layout are all there after the file is opened, and again after that', async (t) => {
  const directory = temporaryDirectory(t);
  await withFile(directory, (root) => writeOld(root, rows));
  for (let turn = 0; turn < 2; turn += 1) {
    const store = await openLmdbHistory(directory);
    assert.deepEqual(await allRows(store), rows.toReversed());
    assert.equal((await store.page(firstPage)).total, rows.length);
    assert.equal((await store.page({ ...firstPage, version: 'v1' })).total, rows.length / 3);
    await store.close();
  }
  const left = await withFile(directory, (root) => ['rows', 'index', 'series'].map((name) => (
    root.openDB<Buffer, Buffer>(name, binary).getKeysCount())));
  assert.deepEqual(left, [0, 0, 0]);
});

test('what a process of the first layout still writes is moved at the next opening', async (t) => {
  const directory = temporaryDirectory(t);
  await withFile(directory, (root) => writeOld(root, rows.slice(0, 1000)));
  const store = await openLmdbHistory(directory);
  await store.append(rows.slice(2000));
  await store.close();
  await withFile(directory, (root) => writeOld(root, rows.slice(1000, 2000)));
  const again = await openLmdbHistory(directory);
  t.after(() => again.close());
  assert.deepEqual(await allRows(again), rows.toReversed());
});

test('a move that breaks off goes on at the next opening, and loses no row', async (t) => {
  const directory = temporaryDirectory(t);
  let steps = 0;
  const moved: HistoryRow[] = [];
  await withFile(directory, (root) => {
    writeOld(root, rows);
    assert.throws(() => moveOldRows(root, (step) => {
      if (steps === 2) throw new Error('the disk is full');
      steps += 1;
      moved.push(...step);
    }), /the disk is full/);
  });
  assert.equal(moved.length, 2 * historyPruneRows);
  const store = await openLmdbHistory(directory);
  t.after(() => store.close());
  assert.deepEqual((await allRows(store)).toReversed(), rows.slice(moved.length));
});
