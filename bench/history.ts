// The history's figures: rows written a second and pages of a full history, for both stores: node dist/bench/history.js
// MongoDB is the one of MONGODB_URL, in a database of the bench's own that is dropped; without it, the tests' server,
// which reads every document for every question and so gets fewer of them: its figures are no MongoDB's.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MongoClient } from 'mongodb';
import { historyBatchRows, historyPageRowsMax } from '../src/limits.ts';
import { RowSource, type HistoryRow } from '../src/history/row.ts';
import { openHistoryStore, type HistoryQuery, type HistoryStore } from '../src/history/store.ts';
import { skipUnlessMongodb, startMongodbServer } from '../test/support/mongodb-server.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    pages: { type: 'string', default: '20' },
    'test-server-rows': { type: 'string', default: '200' },
  },
});
const rowCount = Number(values.rows);
const pageCount = Number(values.pages);
/** A page of the embedded store must not take longer, half of the time, at 100,000 rows. */
const pageMsMax = 20;

const startMs = Date.UTC(2025, 0, 1);
const middleMs = startMs + rowCount * 500;
type Choice = readonly [string, Partial<HistoryQuery>];

/** One of each is taken for a question; the first of each asks nothing. */
const dimensions: readonly (readonly Choice[])[] = [
  [['', {}], ['version', { version: '1.3' }], ['unknown version', { version: 'none' }]],
  [['', {}], ['model', { model: 'detector' }]],
  [['', {}], ['success', { status: 'success' }], ['error', { status: 'error' }]],
  [['', {}], ['an hour', { fromMs: middleMs, toMs: middleMs + 3_600_000 }], ['the older half', { toMs: middleMs }]],
  [
    ['', {}], ['slower than most', { inferenceMsMin: 90 }], ['slow, ten rows', { inferenceMsMin: 1000 }],
    ['quicker than some', { inferenceMsMax: 90 }],
  ],
];

/** Every question that the dimensions allow, those with one filter first. */
function questions(): Choice[] {
  const all = dimensions.reduce<Choice[]>((made, choices) => made.flatMap(([label, query]) => (
    choices.map(([name, filter]): Choice => [[label, name].filter(Boolean).join(', '), { ...query, ...filter }])
  )), [['', {}]]);
  return all.toSorted(([, left], [, right]) => Object.keys(left).length - Object.keys(right).length);
}

function makeRows(count: number): HistoryRow[] {
  let number = 0;
  const source = new RowSource(() => startMs + number * 1000);
  return Array.from({ length: count }, () => {
    number += 1;
    return source.row({
      version: `1.${number % 8}`, model: number % 2 === 0 ? 'compressor' : 'detector', requestId: `request-${number}`,
      caller: 'camera-7', inferenceMs: number % 10_000 === 0 ? 1000 : (number * 7919) % 100, compressionRatio: 10.5, predictedQuality: 0.85,
      metrics: { compression_ratio: 10.5, predicted_quality: 0.85, adjusted_compression: 0.82 },
      inputs: [{ name: 'image', shape: [1, 3, 224, 224], datatype: 'FP32' }, { name: 'imu', shape: [1, 6] }],
      ...(number % 20 === 0 && { errorCode: 'TIMEOUT' }),
    });
  });
}

async function fill(name: string, store: HistoryStore, count: number): Promise<void> {
  const rows = makeRows(count);
  const appendMs: number[] = [];
  for (let start = 0; start < count; start += historyBatchRows) {
    const startedMs = performance.now();
    await store.append(rows.slice(start, start + historyBatchRows));
    appendMs.push(performance.now() - startedMs);
  }
  const allMs = appendMs.reduce((sum, ms) => sum + ms, 0);
  console.log(`\n${name}: ${count} rows, ${Math.round(count / allMs * 1000)} rows a second in batches of `
    + `${historyBatchRows}, a batch p50 ${at(appendMs, 0.5)} ms, p99 ${at(appendMs, 0.99)} ms`);
}

/** Times of the first page, of the last that a cursor reaches, and of one as deep by offset. */
async function ask(store: HistoryStore, filter: Partial<HistoryQuery>, pages: number) {
  const first = await store.page({ limit: 100, offset: 0, ...filter });
  const offset = Math.max(first.total - 100, 0);
  const last = await store.page({ limit: 1, offset, ...filter });
  const places = { first: {}, cursor: last.rows[0] && { before: last.rows[0].id }, offset: { offset } };
  const times: number[][] = [];
  for (const place of Object.values(places)) {
    const timesMs: number[] = [];
    for (let page = 0; page < pages; page += 1) {
      const startedMs = performance.now();
      await store.page({ limit: 100, offset: 0, ...filter, ...place });
      timesMs.push(performance.now() - startedMs);
    }
    times.push(timesMs);
  }
  return { total: first.total, times };
}

/** Prints the questions with one filter, and the slowest of all; returns the slowest median. */
async function measure(store: HistoryStore, pages: number): Promise<number> {
  let slowest = { label: '', medianMs: 0, p99: '' };
  const all = questions();
  console.log('| filter | rows | first p50 | p99 | deep by cursor p50 | p99 | by offset p50 | p99 |');
  console.log('|---|---|---|---|---|---|---|---|');
  for (const [label, filter] of all) {
    const { total, times } = await ask(store, filter, pages);
    const name = label === '' ? 'none' : label;
    const cells = times.flatMap((timesMs) => [at(timesMs, 0.5), at(timesMs, 0.99)]);
    if (Object.keys(filter).length <= 1 || name === 'an hour') console.log(`| ${[name, total, ...cells].join(' | ')} |`);
    for (const timesMs of times) {
      const medianMs = Number(at(timesMs, 0.5));
      if (medianMs > slowest.medianMs) slowest = { label: name, medianMs, p99: at(timesMs, 0.99) };
    }
  }
  console.log(`The slowest of ${all.length} combinations, "${slowest.label}": p50 ${slowest.medianMs} ms, p99 ${slowest.p99} ms`);
  const fullMs: number[] = [];
  for (let page = 0; page < pages; page += 1) {
    const startedMs = performance.now();
    await store.page({ limit: historyPageRowsMax, offset: 0 });
    fullMs.push(performance.now() - startedMs);
  }
  console.log(`A page of ${historyPageRowsMax}: p50 ${at(fullMs, 0.5)} ms, p99 ${at(fullMs, 0.99)} ms`);
  return slowest.medianMs;
}

function at(times: readonly number[], share: number): string {
  const sorted = times.toSorted((left, right) => left - right);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)]!.toFixed(2);
}

async function benchEmbedded(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-bench-'));
  try {
    const startedMs = performance.now();
    const store = await openHistoryStore({ directory });
    console.log(`The embedded store opens in ${(performance.now() - startedMs).toFixed(0)} ms.`);
    await fill('Embedded (LMDB, each batch synced)', store, rowCount);
    const slowestMs = await measure(store, pageCount);
    await store.close();
    console.log(`${(statSync(join(directory, 'data.mdb')).size / 1024 / 1024).toFixed(0)} MB on disk`);
    assert.ok(rowCount > 100_000 || slowestMs <= pageMsMax, `a page took ${slowestMs} ms`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function benchMongodb(url: string, name: string, count: number, pages: number): Promise<void> {
  const store = await openHistoryStore({ mongodbUrl: url, directory: '' });
  await fill(name, store, count);
  await measure(store, pages);
  await store.close();
  const client = await MongoClient.connect(url);
  await client.db().dropDatabase();
  await client.close();
}

await benchEmbedded();
const given = process.env['MONGODB_URL'];
const skip = given === undefined && skipUnlessMongodb();
if (given !== undefined) {
  const url = given.replace(/^(\w+(?:\+srv)?:\/\/[^/?]+)(?:\/[^?]*)?/, `$1/ortserve-bench-${process.pid}`);
  await benchMongodb(url, 'MongoDB', rowCount, pageCount);
} else if (skip === false) {
  const server = await startMongodbServer();
  try {
    const count = Number(values['test-server-rows']);
    await benchMongodb(server.url('bench'), "The tests' server (FerretDB on SQLite)", count, 1);
  } finally {
    await server.stop();
  }
} else {
  console.log(`MongoDB is left out: ${skip}`);
}
