// The history's figures: rows written a second and pages of a full history, for both stores: node dist/bench/history.js
// MongoDB is the one of MONGODB_URL, in a database of the bench's own that is dropped; without it, the tests' server,
// which reads every document for every question and so gets fewer of them: its figures are no MongoDB's.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MongoClient } from 'mongodb';
import { historyBatchRows } from '../src/limits.ts';
import { RowSource, type HistoryRow } from '../src/history/row.ts';
import { openHistoryStore, type HistoryQuery, type HistoryStore } from '../src/history/store.ts';
import { skipUnlessMongodb, startMongodbServer } from '../test/support/mongodb-server.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    pages: { type: 'string', default: '200' },
    'test-server-rows': { type: 'string', default: '1000' },
  },
});
const rowCount = Number(values.rows);
const pageCount = Number(values.pages);
/** A page of the embedded store must not take longer, half of the time, at 100,000 rows. */
const pageMsMax = 20;

const startMs = Date.UTC(2025, 0, 1);
const questions: readonly [string, Partial<HistoryQuery>][] = [
  ['newest 100', {}],
  ['newest 500', { limit: 500 }],
  ['version', { version: '1.3' }],
  ['version, 500', { version: '1.3', limit: 500 }],
  ['version and status', { version: '1.4', status: 'error' }],
  ['status', { status: 'error' }],
  ['offset in the middle', { offset: Math.floor(rowCount / 2) }],
  ['an hour of a version', { version: '1.3', fromMs: startMs + 3_600_000, toMs: startMs + 7_200_000 }],
];
/** These read every row of the span to count them. */
const scans: readonly [string, Partial<HistoryQuery>][] = [
  ['slow ones of a version', { version: '1.3', inferenceMsMin: 90 }],
  ['slow ones of all', { inferenceMsMin: 99 }],
];

function makeRows(count: number): HistoryRow[] {
  let number = 0;
  const source = new RowSource(() => startMs + number * 1000);
  return Array.from({ length: count }, () => {
    number += 1;
    return source.row({
      version: `1.${number % 8}`, model: number % 2 === 0 ? 'compressor' : 'detector', requestId: `request-${number}`,
      caller: 'camera-7', inferenceMs: (number * 7919) % 100, compressionRatio: 10.5, predictedQuality: 0.85,
      metrics: { compression_ratio: 10.5, predicted_quality: 0.85, adjusted_compression: 0.82 },
      inputs: [{ name: 'image', shape: [1, 3, 224, 224], datatype: 'FP32' }, { name: 'imu', shape: [1, 6] }],
      ...(number % 20 === 0 && { errorCode: 'TIMEOUT' }),
    });
  });
}

async function measure(name: string, store: HistoryStore, count: number, pages: number): Promise<Map<string, number>> {
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
  const medians = new Map<string, number>();
  for (const [label, query] of [...questions, ...scans]) {
    const times: number[] = [];
    let total = 0;
    const repeats = scans.some(([scan]) => scan === label) ? Math.ceil(pages / 10) : pages;
    for (let page = 0; page < repeats; page += 1) {
      const startedMs = performance.now();
      ({ total } = await store.page({ limit: 100, offset: 0, ...query }));
      times.push(performance.now() - startedMs);
    }
    medians.set(label, Number(at(times, 0.5)));
    const [p50, p99] = [0.5, 0.99].map((share) => at(times, share).padStart(8));
    console.log(`  ${label.padEnd(24)} p50 ${p50} ms  p99 ${p99} ms  of ${total}`);
  }
  return medians;
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
    const medians = await measure('Embedded (LMDB, each batch synced)', store, rowCount, pageCount);
    await store.close();
    console.log(`  ${(statSync(join(directory, 'data.mdb')).size / 1024 / 1024).toFixed(0)} MB on disk`);
    for (const [label] of questions) {
      assert.ok(medians.get(label)! <= pageMsMax, `${label} took ${medians.get(label)} ms`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function benchMongodb(url: string, name: string, count: number, pages: number): Promise<void> {
  const store = await openHistoryStore({ mongodbUrl: url, directory: '' });
  await measure(name, store, count, pages);
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
    await benchMongodb(server.url('bench'), "The tests' server (FerretDB on SQLite)", count, Math.ceil(pageCount / 20));
  } finally {
    await server.stop();
  }
} else {
  console.log(`MongoDB is left out: ${skip}`);
}
