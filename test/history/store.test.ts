// What every store of the history promises, asked of each.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test, type TestContext } from 'node:test';
import { historyPruneRows } from '../../src/limits.ts';
import type { HistoryEntry } from '../../src/history/row.ts';
import { openHistoryStore, type HistoryQuery, type HistoryStore } from '../../src/history/store.ts';
import { skipUnlessMongodb, startMongodbServer, type MongodbServer } from '../support/mongodb-server.ts';
import { allRows, firstPage, numbersOf, rowsOf, startMs, temporaryDirectory } from './rows.ts';

let mongodb: MongodbServer | undefined;

const kinds = [
  { name: 'the embedded store', skip: false, url: () => undefined },
  { name: 'MongoDB', skip: skipUnlessMongodb(), url: () => mongodb!.url(`test-${randomUUID()}`) },
] as const;

for (const { name, skip, url } of kinds) {
  describe(name, { skip }, () => {
    if (name === 'MongoDB') {
      before(async () => {
        mongodb = await startMongodbServer();
      });
      after(() => mongodb?.stop());
    }
    suite(async (t) => {
      const store = await openHistoryStore({ mongodbUrl: url(), directory: temporaryDirectory(t) });
      t.after(() => store.close());
      return store;
    });
  });
}

/** Two models, three versions, every fifth an error, inference times that rise with the number. */
const mixed = (count: number) => rowsOf(count, (number) => ({
  version: ['1.0', '1.1', '__proto__'][number % 3]!,
  model: number % 2 === 0 ? 'even' : 'constructor',
  ...(number % 5 === 0 && { errorCode: number % 10 === 0 ? 'TIMEOUT' : 'BACKEND_FAILED' }),
  inferenceMs: number % 7 === 0 ? undefined : number,
}));

type Filter = Partial<HistoryQuery>;

/** One of each is taken for a query: every combination is asked. */
const dimensions: readonly (readonly Filter[])[] = [
  [{}, { version: '1.1' }, { version: '__proto__' }],
  [{}, { model: 'constructor' }],
  [{}, { status: 'success' }, { status: 'error' }, { status: 'TIMEOUT' }],
  [{}, { fromMs: startMs + 20, toMs: startMs + 190 }],
  [{}, { inferenceMsMin: 150 }, { inferenceMsMin: 100, inferenceMsMax: 110 }],
];

const combined = dimensions.reduce<Filter[]>((made, choices) => (
  made.flatMap((query) => choices.map((choice) => ({ ...query, ...choice })))), [{}]);

const filters: readonly Filter[] = [
  ...combined,
  { version: 'no such' },
  { version: '$ne' },
  { fromMs: startMs + 100 },
  { toMs: startMs + 100 },
  { fromMs: startMs + 50, toMs: startMs + 51 },
  { fromMs: startMs + 50, toMs: startMs + 50 },
  { version: '1.1', inferenceMsMax: 0 },
  { inferenceMsMin: 5000 },
  { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER },
];

function matches(number: number, query: Partial<HistoryQuery>): boolean {
  const row = mixedRows[number]!;
  const time = row.inference_time_ms;
  return (query.version === undefined || row.version === query.version)
    && (query.model === undefined || row.model === query.model)
    && (query.status === undefined || row.status === query.status || row.error_code === query.status)
    && row.timestamp_ms >= (query.fromMs ?? 0) && row.timestamp_ms < (query.toMs ?? Infinity)
    && (query.inferenceMsMin === undefined || (time !== null && time >= query.inferenceMsMin))
    && (query.inferenceMsMax === undefined || (time !== null && time <= query.inferenceMsMax));
}

const mixedRows = mixed(210);

function suite(open: (t: TestContext) => Promise<HistoryStore>): void {
  test('an empty history has an empty page', async (t) => {
    const store = await open(t);
    assert.deepEqual(await store.page(firstPage), { rows: [], total: 0, more: false });
    assert.deepEqual(await store.page({ ...firstPage, version: 'x', offset: 5 }), { rows: [], total: 0, more: false });
    assert.equal(await store.prune({ rowsMax: 1, keepFromMs: Date.now() }), 0);
    await store.append([]);
  });

  test('a row comes back as it was stored, whatever its names are', async (t) => {
    const store = await open(t);
    const odd: Partial<HistoryEntry>[] = [
      {},
      {
        version: 'ü 日本 🙂 $where', model: 'toString', caller: undefined, inferenceMs: NaN,
        compressionRatio: Infinity,
        metrics: JSON.parse('{"__proto__": 1, "a.b": 2, "$x": 3, "ok": 1e-7}') as Record<string, number>,
        inputs: [{ name: '__proto__', shape: [] }], errorCode: 'TIMEOUT',
      },
      { version: '', model: '', metrics: {}, inputs: [], predictedQuality: undefined },
    ];
    const rows = rowsOf(odd.length, (number) => odd[number]!);
    await store.append(rows);
    assert.deepEqual((await store.page(firstPage)).rows, rows.toReversed());
    assert.deepEqual(await numbersOf(store, { version: 'ü 日本 🙂 $where' }), [1]);
  });

  test('every filter gives exactly its rows, newest first, and their count, by offset and by cursor', async (t) => {
    const store = await open(t);
    await store.append(mixedRows.slice(0, 70));
    await store.append(mixedRows.slice(70));
    for (const query of filters) {
      const numbers = mixedRows.map((_, number) => number).filter((number) => matches(number, query)).reverse();
      const label = JSON.stringify(query);
      const paged = await allRows(store, { ...query, limit: 87 });
      assert.deepEqual(paged.map((row) => Number(row.request_id)), numbers, label);
      const { rows, total, more } = await store.page({ limit: 10, offset: 3, ...query });
      assert.deepEqual(rows.map((row) => Number(row.request_id)), numbers.slice(3, 13), label);
      assert.deepEqual([total, more], [numbers.length, numbers.length > 13], label);
    }
  });

  test('an offset beyond the end, and one row from the end', async (t) => {
    const store = await open(t);
    await store.append(mixedRows);
    for (const [offset, numbers] of [[208, [1, 0]], [209, [0]], [210, []], [1_000_000, []]] as const) {
      assert.deepEqual(await numbersOf(store, { offset }), numbers);
      assert.deepEqual(await numbersOf(store, { offset, fromMs: startMs }), numbers);
    }
  });

  test('rows that come late stand where their time says, in pages and in counts', async (t) => {
    const store = await open(t);
    const rows = rowsOf(1500, (number) => ({ version: number % 2 === 0 ? 'even' : 'odd' }));
    const late = rows.filter((_, number) => number % 3 === 0);
    await store.append(rows.filter((_, number) => number % 3 !== 0));
    for (const row of late.slice(0, 20)) await store.append([row]);
    await store.append(late.toReversed());
    assert.deepEqual(await allRows(store), rows.toReversed());
    const even = await store.page({ ...firstPage, version: 'even', offset: 700 });
    assert.deepEqual([even.total, even.rows[0]?.request_id], [750, '98']);
    assert.equal(await store.prune({ rowsMax: 1499, keepFromMs: 0 }), 1);
    assert.deepEqual((await allRows(store)).at(-1), rows[1]);
  });

  test('rows that were stored already are stored once', async (t) => {
    const store = await open(t);
    const rows = rowsOf(20);
    await store.append(rows.slice(0, 12));
    await store.append(rows);
    await store.append(rows);
    assert.deepEqual((await allRows(store)).length, 20);
    assert.equal((await store.page({ ...firstPage, version: '1.0' })).total, 20);
  });

  test('a cursor stays good while rows come and go', async (t) => {
    const store = await open(t);
    const rows = rowsOf(40);
    await store.append(rows.slice(0, 30));
    const before = (await store.page({ limit: 10, offset: 0 })).rows.at(-1)!.id;
    await store.append(rows.slice(30));
    await store.prune({ rowsMax: 25, keepFromMs: 0 });
    assert.deepEqual(await numbersOf(store, { before }), [19, 18, 17, 16, 15]);
    assert.deepEqual(await numbersOf(store, { before, offset: 2, limit: 2 }), [17, 16]);
    assert.equal((await store.page({ ...firstPage, before })).total, 25, 'a cursor does not change the total');
    assert.deepEqual(await numbersOf(store, { before: rows[3]!.id }), []);
  });

  test('too many and too old rows go in small steps, and the counts go with them', async (t) => {
    const store = await open(t);
    const rows = rowsOf(3000, (number) => ({ version: number < 1500 ? 'old' : 'new' }));
    await store.append(rows);
    const steps: number[] = [];
    for (let removed = 1; removed > 0;) {
      removed = await store.prune({ rowsMax: 1000, keepFromMs: 0 });
      steps.push(removed);
    }
    assert.deepEqual(steps, [historyPruneRows, 2000 - historyPruneRows, 0]);
    assert.equal((await store.page(firstPage)).total, 1000);
    assert.equal((await store.page({ ...firstPage, version: 'old' })).total, 0);
    assert.equal((await store.page({ ...firstPage, version: 'new' })).total, 1000);
    assert.equal(await store.prune({ rowsMax: 1000, keepFromMs: startMs + 2900 }), 900);
    assert.equal((await allRows(store)).at(-1)!.request_id, '2900');
    assert.equal(await store.prune({ rowsMax: 1000, keepFromMs: Date.now() }), 100);
    assert.deepEqual(await store.page(firstPage), { rows: [], total: 0, more: false });
  });

  test('many versions, as a scanner sends them, are filtered like few', async (t) => {
    const store = await open(t);
    const rows = rowsOf(500, (number) => ({ version: `v${number % 250}`, model: number < 400 ? 'a' : 'b' }));
    await store.append(rows);
    const { rows: page, total } = await store.page({ limit: 3, offset: 1, model: 'a' });
    assert.deepEqual([page.map((row) => row.request_id), total], [['398', '397', '396'], 400]);
    const ranged = await store.page({ limit: 2, offset: 0, model: 'b', toMs: startMs + 450, inferenceMsMin: 1 });
    assert.deepEqual([ranged.rows.map((row) => row.request_id), ranged.total], [['449', '448'], 50]);
    assert.deepEqual(await numbersOf(store, { version: 'v7' }), [257, 7]);
  });

  test('readers beside writers see whole batches', async (t) => {
    const store = await open(t);
    const rows = rowsOf(2000);
    let writing = true;
    const readers = Array.from({ length: 4 }, async () => {
      let pages = 0;
      for (let seen = 0; writing; pages += 1) {
        const { rows: page, total } = await store.page({ limit: 500, offset: 0 });
        assert.ok(page.length === Math.min(total, 500) || page.length % 100 === 0);
        const numbers = page.map((row) => Number(row.request_id));
        assert.deepEqual(numbers, numbers.map((_, index) => numbers[0]! - index), 'no gap');
        assert.ok((numbers[0] ?? -1) + 1 >= seen, 'what was seen stays');
        seen = (numbers[0] ?? -1) + 1;
      }
      return pages;
    });
    for (let start = 0; start < rows.length; start += 100) await store.append(rows.slice(start, start + 100));
    writing = false;
    assert.ok((await Promise.all(readers)).every((pages) => pages > 0));
    assert.equal((await store.page(firstPage)).total, 2000);
  });
}
