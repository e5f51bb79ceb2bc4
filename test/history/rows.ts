// Rows for the tests of the history, and ways to read all of them back.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { RowSource, type HistoryEntry, type HistoryRow } from '../../src/history/row.ts';
import type { HistoryQuery, HistoryStore } from '../../src/history/store.ts';

export const entry: HistoryEntry = {
  version: '1.0',
  model: 'compressor',
  requestId: 'req-1',
  caller: 'camera-7',
  inferenceMs: 45.25,
  compressionRatio: 10.5,
  predictedQuality: 0.85,
  metrics: { compression_ratio: 10.5, predicted_quality: 0.85, adjusted_compression: 0.82 },
  inputs: [{ name: 'image', shape: [1, 3, 224, 224], datatype: 'FP32' }, { name: 'imu', shape: [1, 6] }],
};

/** The moment of the first row; the row numbered n is n milliseconds later. */
export const startMs = Date.UTC(2025, 0, 1);

/** Rows one millisecond apart, oldest first; `change` gives what differs from the standard entry. */
export function rowsOf(count: number, change: (number: number) => Partial<HistoryEntry> = () => ({})): HistoryRow[] {
  let nowMs = startMs;
  const source = new RowSource(() => nowMs++);
  return Array.from({ length: count }, (_, number) => (
    source.row({ ...entry, requestId: String(number), ...change(number) })));
}

export const firstPage: HistoryQuery = { limit: 100, offset: 0 };

export async function numbersOf(store: Pick<HistoryStore, 'page'>, query: Partial<HistoryQuery>): Promise<number[]> {
  const { rows } = await store.page({ ...firstPage, ...query });
  return rows.map((row) => Number(row.request_id));
}

/** Every row, newest first, page by page. */
export async function allRows(
  store: Pick<HistoryStore, 'page'>, query: Partial<HistoryQuery> = {},
): Promise<HistoryRow[]> {
  const all: HistoryRow[] = [];
  for (;;) {
    const last = all.at(-1);
    const page = await store.page({ limit: 500, offset: 0, ...query, ...(last && { before: last.id }) });
    all.push(...page.rows);
    if (!page.more) return all;
  }
}

export function temporaryDirectory(t: Pick<TestContext, 'after'>): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-history-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
