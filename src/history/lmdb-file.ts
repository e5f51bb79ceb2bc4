// The embedded history file: LMDB, synchronous, for a thread of its own. Several processes may share one folder.
// Invariant: rows, index and counters change in one transaction, so a count is what a scan would find.
//
//   rows     id                 -> inference ms | series | row as JSON
//   index    series | id        -> inference ms
//   series   series             -> rows in it | its version, model and outcome as JSON
//   meta     'rows'             -> rows in all
//
// A series is all rows of one version, model and outcome; its key is a hash of those. Rows of one series stand in
// the index by time, and filters by equality choose whole series: their rows are read newest first by merging.
// Synced commits, LMDB's default: what append() returned from survives kill -9 and, as far as the disk keeps its
// word, a power failure.
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Database, RootDatabase } from 'lmdb';
import { historyPruneRows } from '../limits.ts';
import { refuseDamaged } from '../storage/lmdb-header.ts';
import { type HistoryRow, idToBytes, lowestIdAt, outcomeOf } from './row.ts';
import type { HistoryPage, HistoryQuery, Retention } from './store.ts';

const seriesBytes = 16;
const idBytes = 16;
const numberBytes = 8;
const rowHeadBytes = numberBytes + seriesBytes;
const rowsKey = Buffer.from('rows');
/** Series that are merged; more of them are read as a scan of all rows. */
const mergedSeriesMax = 64;
/** Entries looked at before others get their turn. */
const scanEntries = 2000;
const lowestId = Buffer.alloc(idBytes);
const aboveIds = Buffer.alloc(idBytes + 1, 0xff);

type Table = Database<Buffer, Buffer>;
type Series = { readonly key: Buffer; readonly count: number };
type Entry = { readonly id: Buffer; readonly inferenceMs: number };
/** Which entries a query looks at: ids from `low` up to below `high`, of these series or of all. */
type Span = { readonly low: Buffer; readonly high: Buffer; readonly series: readonly Series[] | undefined };

export class LmdbFile {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #rows: Table;
  readonly #index: Table;
  readonly #series: Table;
  readonly #meta: Table;

  /** Opens or makes the file. A file that cannot be opened throws here. */
  static async open(directory: string): Promise<LmdbFile> {
    mkdirSync(directory, { recursive: true });
    refuseDamaged(join(directory, 'data.mdb'));
    const { open } = await import('lmdb');
    // overlappingSync would acknowledge before the disk has the rows.
    const options = { path: directory, noSubdir: false, maxDbs: 4, overlappingSync: false, ...binary };
    return new LmdbFile(open<Buffer, Buffer>(options));
  }

  private constructor(root: RootDatabase<Buffer, Buffer>) {
    this.#root = root;
    this.#rows = root.openDB('rows', binary);
    this.#index = root.openDB('index', binary);
    this.#series = root.openDB('series', binary);
    this.#meta = root.openDB('meta', binary);
  }

  append(rows: readonly HistoryRow[]): void {
    this.#root.transactionSync(() => {
      const tally = new Map<string, { key: Buffer; names: string; added: number }>();
      for (const row of rows) {
        const id = idToBytes(row.id);
        if (this.#rows.doesExist(id)) continue;
        const names = namesOf(row);
        const series = tally.get(names) ?? { key: seriesKey(names), names, added: 0 };
        tally.set(names, series);
        series.added += 1;
        const inference = numberBuffer(row.inference_time_ms ?? NaN);
        this.#rows.putSync(id, Buffer.concat([inference, series.key, Buffer.from(JSON.stringify(row))]));
        this.#index.putSync(Buffer.concat([series.key, id]), inference);
      }
      this.#count(tally.values());
    });
  }

  /** Removes at most `historyPruneRows` of the oldest rows that are too many or too old; returns how many. */
  prune({ rowsMax, keepFromMs }: Retention): number {
    // A process that was killed while it read would keep old pages from being used again.
    this.#root.readerCheck();
    return this.#root.transactionSync(() => {
      const tooMany = Math.max(this.#rowCount() - rowsMax, 0);
      const keepFrom = idToBytes(lowestIdAt(keepFromMs));
      const tally = new Map<string, { key: Buffer; names: string; added: number }>();
      let removed = 0;
      for (const { key: id, value } of [...this.#rows.getRange({ limit: historyPruneRows })]) {
        if (removed >= tooMany && Buffer.compare(id, keepFrom) >= 0) break;
        const names = namesOf(rowOf(value));
        const series = tally.get(names) ?? { key: seriesKey(names), names, added: 0 };
        tally.set(names, series);
        series.added -= 1;
        this.#rows.removeSync(id);
        this.#index.removeSync(Buffer.concat([series.key, id]));
        removed += 1;
      }
      this.#count(tally.values());
      return removed;
    });
  }

  async page(query: HistoryQuery): Promise<HistoryPage> {
    const series = this.#matching(query);
    const low = query.fromMs === undefined ? lowestId : idToBytes(lowestIdAt(query.fromMs));
    const high = query.toMs === undefined ? aboveIds : idToBytes(lowestIdAt(query.toMs));
    const before = query.before === undefined ? aboveIds : idToBytes(query.before);
    const rows = await this.#collect(query, { low, high: Buffer.compare(before, high) < 0 ? before : high, series });
    const total = await this.#total(query, { low, high, series });
    return { rows: rows.slice(0, query.limit), total, more: rows.length > query.limit };
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  /** One row more than the page has, to know whether there is more. */
  async #collect(query: HistoryQuery, span: Span): Promise<HistoryRow[]> {
    const wanted = query.limit + 1;
    const single = span.series === undefined || span.series.length === 1;
    if (single && !filtersTime(query)) return this.#load(this.#newest(span, wanted, query.offset));
    const rows: HistoryRow[] = [];
    let toPass = query.offset;
    for await (const entries of this.#walk(span, Math.min(scanEntries, query.offset + wanted))) {
      const matching = entries.filter((entry) => timeMatches(entry, query));
      const passed = Math.min(toPass, matching.length);
      toPass -= passed;
      rows.push(...this.#load(matching.slice(passed, passed + wanted - rows.length)));
      if (rows.length === wanted) break;
    }
    return rows;
  }

  async #total(query: HistoryQuery, span: Span): Promise<number> {
    const { series } = span;
    if (series?.length === 0) return 0;
    if (!filtersTime(query)) {
      if (query.fromMs === undefined && query.toMs === undefined) {
        return series === undefined ? this.#rowCount() : series.reduce((sum, { count }) => sum + count, 0);
      }
      if (series === undefined) return this.#rows.getKeysCount({ start: span.low, end: span.high });
      if (series.length <= mergedSeriesMax) {
        return series.reduce((sum, { key }) => sum + this.#index.getKeysCount(indexRange(key, span)), 0);
      }
    }
    let total = 0;
    for await (const entries of this.#walk(span, scanEntries)) {
      for (const entry of entries) if (timeMatches(entry, query)) total += 1;
    }
    return total;
  }

  /** All entries of the span in portions, newest first. Lets others in between, who may add or remove rows. */
  async *#walk(span: Span, firstEntries: number): AsyncGenerator<Entry[]> {
    let { high } = span;
    for (let wanted = firstEntries; ; wanted = scanEntries) {
      const { entries, lowest } = this.#portion({ ...span, high }, wanted);
      yield entries;
      if (lowest === undefined) return;
      high = lowest;
      await turn();
    }
  }

  /** `lowest` is where the next portion ends; undefined when nothing is left. */
  #portion(span: Span, wanted: number): { entries: Entry[]; lowest: Buffer | undefined } {
    if (span.series === undefined || span.series.length <= mergedSeriesMax) {
      const entries = this.#newest(span, wanted, 0);
      return { entries, lowest: entries.length < wanted ? undefined : entries.at(-1)?.id };
    }
    const keys = new Set(span.series.map(({ key }) => key.toString('latin1')));
    const range = [...this.#rows.getRange({ ...downward(span.low, span.high), limit: wanted })];
    const entries = range
      .filter(({ value }) => keys.has(value.toString('latin1', numberBytes, rowHeadBytes)))
      .map(({ key, value }) => ({ id: key, inferenceMs: value.readDoubleLE() }));
    return { entries, lowest: range.length < wanted ? undefined : range.at(-1)?.key };
  }

  #newest({ low, high, series }: Span, limit: number, offset: number): Entry[] {
    if (Buffer.compare(low, high) >= 0) return [];
    if (series === undefined) {
      return [...this.#rows.getRange({ ...downward(low, high), limit, offset })]
        .map(({ key, value }) => ({ id: key, inferenceMs: value.readDoubleLE() }));
    }
    const lists = series.map(({ key }) => {
      const { start, end } = indexRange(key, { low, high });
      return [...this.#index.getRange({ ...downward(start, end), limit, offset })]
        .map((entry) => ({ id: entry.key.subarray(seriesBytes), inferenceMs: entry.value.readDoubleLE() }));
    });
    if (lists.length === 1) return lists[0]!;
    return lists.flat().sort((left, right) => Buffer.compare(right.id, left.id)).slice(0, limit);
  }

  #load(entries: readonly Entry[]): HistoryRow[] {
    return entries.flatMap(({ id }) => {
      const value = this.#rows.get(id);
      return value === undefined ? [] : [rowOf(value)];
    });
  }

  /** The series that the filters by equality choose; undefined when there are no such filters. */
  #matching({ version, model, status }: HistoryQuery): readonly Series[] | undefined {
    if (version === undefined && model === undefined && status === undefined) return undefined;
    const matching: Series[] = [];
    for (const { key, value } of this.#series.getRange()) {
      const [ofVersion, ofModel, outcome] = JSON.parse(value.toString('utf8', numberBytes)) as [string, string, string];
      if (version !== undefined && ofVersion !== version) continue;
      if (model !== undefined && ofModel !== model) continue;
      if (status !== undefined && !(status === 'error' ? outcome !== 'success' : outcome === status)) continue;
      matching.push({ key, count: value.readDoubleLE() });
    }
    return matching;
  }

  #count(tally: Iterable<{ key: Buffer; names: string; added: number }>): void {
    let all = 0;
    for (const { key, names, added } of tally) {
      const count = (this.#series.get(key)?.readDoubleLE() ?? 0) + added;
      if (count > 0) this.#series.putSync(key, Buffer.concat([numberBuffer(count), Buffer.from(names)]));
      else this.#series.removeSync(key);
      all += added;
    }
    if (all !== 0) this.#meta.putSync(rowsKey, numberBuffer(this.#rowCount() + all));
  }

  #rowCount(): number {
    return this.#meta.get(rowsKey)?.readDoubleLE() ?? 0;
  }
}

const binary = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const;

/** From just below `high` down to `low` itself. */
function downward(low: Buffer, high: Buffer) {
  return { reverse: true, start: high, exclusiveStart: true, end: low, inclusiveEnd: true };
}

function indexRange(series: Buffer, { low, high }: Pick<Span, 'low' | 'high'>): { start: Buffer; end: Buffer } {
  return { start: Buffer.concat([series, low]), end: Buffer.concat([series, high]) };
}

function filtersTime({ inferenceMsMin, inferenceMsMax }: HistoryQuery): boolean {
  return inferenceMsMin !== undefined || inferenceMsMax !== undefined;
}

function timeMatches({ inferenceMs }: Entry, { inferenceMsMin, inferenceMsMax }: HistoryQuery): boolean {
  if (inferenceMsMin === undefined && inferenceMsMax === undefined) return true;
  return inferenceMs >= (inferenceMsMin ?? -Infinity) && inferenceMs <= (inferenceMsMax ?? Infinity);
}

function namesOf(row: HistoryRow): string {
  return JSON.stringify([row.version, row.model, outcomeOf(row)]);
}

function seriesKey(names: string): Buffer {
  return createHash('sha256').update(names).digest().subarray(0, seriesBytes);
}

function rowOf(value: Buffer): HistoryRow {
  return JSON.parse(value.toString('utf8', rowHeadBytes)) as HistoryRow;
}

function numberBuffer(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(numberBytes);
  buffer.writeDoubleLE(value);
  return buffer;
}
