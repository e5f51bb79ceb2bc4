// The history in MongoDB while its server dies, hangs and comes back.
import assert from 'node:assert/strict';
import { after, before, describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { History } from '../../src/history/history.ts';
import { openHistoryStore } from '../../src/history/store.ts';
import { skipUnlessMongodb, startMongodbServer, type MongodbServer } from '../support/mongodb-server.ts';
import { allRows, entry, firstPage, rowsOf } from './rows.ts';

describe('MongoDB as a server of its own', { skip: skipUnlessMongodb() }, () => {
  let server: MongodbServer;
  before(async () => {
    server = await startMongodbServer();
  });
  after(() => server.stop());

  const openHistory = (t: TestContext, database: string) => {
    const counts = { written: 0, dropped: 0, failed: 0 };
    const mongodbUrl = `${server.url(database)}?serverSelectionTimeoutMS=300`;
    const history = new History({
      open: () => openHistoryStore({ mongodbUrl, directory: '/' }),
      flushMs: 50,
      // So many that no row is removed while a test counts them.
      rowsMax: 1_000_000,
      ageMsMax: 1e9,
      metrics: {
        written: (rows) => void (counts.written += rows),
        dropped: (rows) => void (counts.dropped += rows),
        failed: () => void (counts.failed += 1),
        pending: () => {},
      },
      log: { warn: () => {}, info: () => {} },
    });
    t.after(() => history.close(2000));
    return { history, counts };
  };

  test('documents are as MongoDB tools expect them, in the database of the URL', async (t) => {
    const client = await MongoClient.connect(server.url(''));
    t.after(() => client.close());
    const paths = { '': 'ortserve', '?appName=x': 'ortserve', 'my%2Dbase?appName=x': 'my-base' };
    for (const [path, name] of Object.entries(paths)) {
      const store = await openHistoryStore({ mongodbUrl: server.url(path), directory: '/' });
      const rows = rowsOf(1);
      await store.append(rows);
      const collection = client.db(name).collection<Record<string, unknown> & { _id: string }>('inference_history');
      const document = await collection.findOne({ _id: rows[0]!.id });
      assert.ok(document?.timestamp instanceof Date);
      assert.deepEqual([document.version, document.inference_time_ms, document.id], ['1.0', 45.25, undefined]);
      const keys = (await collection.indexes()).map(({ key }) => Object.keys(key).join());
      assert.deepEqual(keys.sort(), [
        '_id', 'error_code,_id', 'inference_time_ms,_id', 'model,_id', 'status,_id', 'version,_id',
      ]);
      await store.close();
    }
  });

  test('rows recorded while the server is dead are there once it is back, each once', async (t) => {
    const { history, counts } = openHistory(t, 'outage');
    for (let number = 0; number < 300; number += 1) history.record({ ...entry, requestId: String(number) });
    assert.equal(await history.flush(), true);
    await server.kill();
    for (let number = 300; number < 600; number += 1) history.record({ ...entry, requestId: String(number) });
    while (counts.failed < 2) await sleep(50);
    const startedMs = performance.now();
    await assert.rejects(history.page(firstPage), { code: 'BACKEND_FAILED' });
    assert.ok(performance.now() - startedMs < 3000, 'a reader hears of it soon');
    assert.equal(history.pending, 300);
    await server.restart();
    while (history.pending > 0) await sleep(50);
    const numbers = (await allRows(history)).map((row) => Number(row.request_id));
    assert.deepEqual(numbers, Array.from({ length: 600 }, (_, index) => 599 - index));
    assert.deepEqual([counts.written, counts.dropped], [600, 0]);
  });

  test('a server that is away at the start is waited for', async (t) => {
    await server.kill();
    const { history, counts } = openHistory(t, 'late');
    history.record(entry);
    while (counts.failed < 2) await sleep(50);
    await server.restart();
    while (history.pending > 0) await sleep(50);
    assert.equal((await history.page(firstPage)).total, 1);
  });

  test('a server that hangs does not hold the recorder', async (t) => {
    const { history, counts } = openHistory(t, 'hanging');
    history.record(entry);
    assert.equal(await history.flush(), true);
    server.pause();
    for (let number = 0; number < 20_000; number += 1) history.record(entry);
    assert.deepEqual([history.pending, counts.dropped], [10_000, 10_000]);
    await assert.rejects(history.page(firstPage), { code: 'BACKEND_FAILED' });
    server.resume();
    while (history.pending > 0) await sleep(50);
    // The tests' server reads every document to count: a page may take longer than a reader waits.
    const client = await MongoClient.connect(server.url('hanging'));
    t.after(() => client.close());
    assert.equal(await client.db().collection('inference_history').countDocuments(), 10_001);
  });

  test('readers that gave up leave their connections to others', async (t) => {
    const store = await openHistoryStore({ mongodbUrl: server.url('readers'), directory: '/' });
    t.after(() => store.close());
    await store.append(rowsOf(3));
    const late = new AbortController();
    server.pause();
    // Twice as many as there are connections.
    const readers = Array.from({ length: 16 }, () => store.page(firstPage, late.signal));
    late.abort(new Error('nobody waits'));
    const reasons = (await Promise.allSettled(readers)).map((reader) => reader.status === 'rejected' && reader.reason.message);
    assert.deepEqual(new Set(reasons), new Set(['nobody waits']));
    server.resume();
    assert.equal((await store.page(firstPage)).total, 3);
  });

  test('what the URL holds is in no error', async () => {
    const url = 'mongodb://user:geheim@127.0.0.1:1/x?serverSelectionTimeoutMS=100';
    await assert.rejects(openHistoryStore({ mongodbUrl: url, directory: '/' }), (error: Error) => (
      !`${error.message} ${error.stack} ${JSON.stringify(error)}`.includes('geheim')));
  });
});
