// The recorder before stores that fail, hang and are slow.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServerError } from '../../src/errors.ts';
import { historyBatchRows } from '../../src/limits.ts';
import { History, type HistoryOptions } from '../../src/history/history.ts';
import type { HistoryRow } from '../../src/history/row.ts';
import type { HistoryQuery, HistoryStore } from '../../src/history/store.ts';
import { entry, firstPage } from './rows.ts';
import { until } from '../support/until.ts';

/** A store in memory that can be lost, and held: then append() waits. */
class FakeStore implements HistoryStore {
  readonly rows: HistoryRow[] = [];
  readonly batches: number[] = [];
  lost = false;
  held: Promise<void> | undefined;
  /** page() never answers; `gaveUp` when it was told that nobody waits. */
  hangs = false;
  gaveUp = false;
  opened = 0;
  closed = 0;
  pruned = 0;

  async append(rows: readonly HistoryRow[]): Promise<void> {
    await this.held;
    if (this.lost) throw new Error('connection refused');
    this.rows.push(...rows);
    this.batches.push(rows.length);
  }

  async page(_query: HistoryQuery, signal?: AbortSignal) {
    if (this.hangs) {
      signal?.addEventListener('abort', () => (this.gaveUp = true));
      return new Promise<never>(() => {});
    }
    if (this.lost) throw new Error('connection refused to mongodb://secret@host');
    return { rows: this.rows.toReversed(), total: this.rows.length, more: false };
  }

  async prune({ rowsMax }: { rowsMax: number }) {
    this.pruned += 1;
    return this.rows.splice(0, Math.min(Math.max(this.rows.length - rowsMax, 0), 10)).length;
  }

  async close() {
    this.closed += 1;
  }
}

function setup(t: TestContext, options: Partial<HistoryOptions> = {}) {
  const store = new FakeStore();
  const counts = { written: 0, dropped: 0, failed: 0 };
  const lines: string[] = [];
  let pending = () => -1;
  const history = new History({
    open: async () => {
      if (store.lost) throw new Error('connection refused');
      store.opened += 1;
      return store;
    },
    flushMs: 20,
    rowsMax: 1000,
    ageMsMax: 1_000_000,
    metrics: {
      written: (rows) => void (counts.written += rows),
      dropped: (rows) => void (counts.dropped += rows),
      failed: () => void (counts.failed += 1),
      pending: (read) => void (pending = read),
    },
    log: { warn: (_, message) => void lines.push(message), info: (_, message) => void lines.push(message) },
    ...options,
  });
  t.after(() => history.close(0));
  const record = (count: number) => {
    for (let index = 0; index < count; index += 1) history.record({ ...entry, requestId: String(index) });
  };
  return { store, history, counts, lines, record, pending: () => pending() };
}

test('rows are written within the interval, in their order, and nothing is opened before the first', async (t) => {
  const { store, history, counts, record, pending } = setup(t);
  await sleep(50);
  assert.equal(store.opened, 0);
  record(3);
  assert.deepEqual([history.pending, pending(), store.rows.length], [3, 3, 0]);
  await until(() => store.rows.length === 3, 'written');
  assert.deepEqual(store.rows.map((row) => row.request_id), ['0', '1', '2']);
  await until(() => history.pending === 0, 'forgotten');
  assert.deepEqual([counts, store.opened], [{ written: 3, dropped: 0, failed: 0 }, 1]);
});

test('a full batch does not wait for the interval', async (t) => {
  const { store, record } = setup(t, { flushMs: 60_000, rowsMax: 10_000 });
  record(historyBatchRows * 2);
  await until(() => store.rows.length === historyBatchRows * 2, 'written');
  assert.deepEqual(store.batches, [historyBatchRows, historyBatchRows]);
});

test('a lost database is logged once, counted, and made good when it is back', async (t) => {
  const { store, history, counts, lines, record } = setup(t, { flushMs: 10 });
  store.lost = true;
  record(5);
  await until(() => counts.failed >= 3, 'tried again');
  assert.deepEqual([history.pending, lines], [5, ['the inference history cannot be written']]);
  await assert.rejects(history.page(firstPage), (error) => {
    assert.ok(error instanceof ServerError && error.code === 'BACKEND_FAILED');
    return !error.message.includes('secret');
  });
  store.lost = false;
  await until(() => history.pending === 0, 'written');
  assert.deepEqual([counts.written, counts.dropped, lines.at(-1)], [5, 0, 'the inference history is written again']);
  store.lost = true;
  record(1);
  await until(() => lines.length === 3, 'the next outage is logged at once');
});

test('while the database is away, memory holds the newest rows up to the bound', async (t) => {
  const { store, history, counts, record } = setup(t, { flushMs: 5, bufferRowsMax: 1000 });
  store.lost = true;
  const heapBefore = process.memoryUsage().heapUsed;
  record(200_000);
  assert.deepEqual([history.pending, counts.dropped], [1000, 199_000]);
  await until(() => counts.failed >= 1, 'tried');
  record(10);
  assert.deepEqual([history.pending, counts.dropped], [1000, 199_010]);
  globalThis.gc?.();
  assert.ok(process.memoryUsage().heapUsed - heapBefore < 200 * 1024 * 1024);
  store.lost = false;
  assert.equal(await history.flush(), true);
  assert.deepEqual([store.rows.length, store.rows.at(-1)!.request_id], [1000, '9']);
});

test('a database that hangs holds neither record() nor a page for long', async (t) => {
  const { store, history, counts, record } = setup(t, { bufferRowsMax: 600 });
  let release = () => {};
  store.held = new Promise((resolve) => (release = resolve));
  record(1);
  await sleep(50);
  const startedMs = performance.now();
  record(5000);
  assert.deepEqual(await history.page(firstPage), { rows: [], total: 0, more: false });
  assert.ok(performance.now() - startedMs < 1000);
  assert.deepEqual([history.pending, counts.dropped], [600, 4401]);
  release();
  await until(() => history.pending === 0, 'written');
  assert.equal(store.rows.length, 600);
});

test('a reader is told that a store which hangs is not available, in opening and in reading', async (t) => {
  const { store, history, counts, record } = setup(t, { readMsMax: 50 });
  store.hangs = true;
  await assert.rejects(history.page(firstPage), { code: 'BACKEND_FAILED', message: 'The inference history is not available.' });
  assert.ok(store.gaveUp);
  record(1);
  await until(() => counts.written === 1, 'the writer does not mind');
  store.hangs = false;
  assert.equal((await history.page(firstPage)).total, 1);
  const opening = setup(t, { readMsMax: 50, open: () => new Promise(() => {}) });
  await assert.rejects(opening.history.page(firstPage), { code: 'BACKEND_FAILED' });
});

test('a page shows what was recorded before it', async (t) => {
  const { history, record } = setup(t, { flushMs: 60_000 });
  record(2);
  assert.equal((await history.page(firstPage)).total, 2);
});

test('old rows are removed beside the writing', async (t) => {
  const { store, record } = setup(t, { rowsMax: 100 });
  record(400);
  await until(() => store.rows.length === 100, 'pruned');
  assert.ok(store.pruned > 10);
});

test('close writes what waits and closes the store', async (t) => {
  const { store, history, counts, record } = setup(t, { flushMs: 60_000, rowsMax: 10_000 });
  record(1500);
  await history.close(5000);
  assert.deepEqual([store.rows.length, store.closed, counts.dropped, history.pending], [1500, 1, 0, 0]);
  record(1);
  assert.deepEqual([history.pending, counts.dropped], [0, 1]);
  await history.close(10);
});

test('close without a row opens nothing', async (t) => {
  const { store, history } = setup(t);
  await history.close(1000);
  assert.deepEqual([store.opened, store.closed], [0, 0]);
});

test('close gives up at its deadline and says what is lost', async (t) => {
  for (const failure of ['lost', 'held'] as const) {
    const { store, history, counts, lines, record } = setup(t);
    if (failure === 'lost') store.lost = true;
    else store.held = new Promise(() => {});
    record(7);
    const startedMs = performance.now();
    await history.close(100);
    assert.ok(performance.now() - startedMs < 1000);
    assert.equal(counts.dropped, 7);
    assert.match(lines.at(-1)!, /before all rows of the inference history were written/);
  }
});

test('record never throws', async (t) => {
  const { history, lines } = setup(t);
  history.record({ ...entry, version: undefined as unknown as string });
  history.record(null as unknown as typeof entry);
  assert.equal(history.pending, 0);
  assert.deepEqual(lines, ['a row of the inference history could not be made']);
});
