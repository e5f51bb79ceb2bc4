// The embedded history file: LMDB, synchronous, for a thread of its own. Several processes may share one folder.
// Invariant: entries, index and count change in one transaction, so a count is what a scan would find.
//
//   entries  id           -> row as JSON
//   blocks   first id     -> block of the index (index-block.ts), which ends where the next one begins
//   meta     'entries'    -> entries in all
//
// Synced commits, LMDB's default: what append() returned from survives kill -9 and, as far as the disk keeps its
// word, a power failure.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Database, RootDatabase } from 'lmdb';
import { historyPruneRows } from '../limits.ts';
import { refuseDamaged } from '../storage/lmdb-header.ts';
import { countBelow, countOf, filterOf, idAt, insert, recordBytes, recordsOf, slice } from './index-block.ts';
import { binary, moveOldRows, oldTablesMax } from './lmdb-old-layout.ts';
import { type HistoryRow, idToBytes, lowestIdAt } from './row.ts';
import type { HistoryPage, HistoryQuery, Retention } from './store.ts';

const countKey = Buffer.from('entries');
const noRecords = Buffer.alloc(0);
/** Blocks looked at before others get their turn, which takes about a millisecond. */
const scanBlocks = 64;
const lowestId = Buffer.alloc(16);
const aboveIds = Buffer.alloc(17, 0xff);

type Table = Database<Buffer, Buffer>;

export class LmdbFile {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #entries: Table;
  readonly #blocks: Table;
  readonly #meta: Table;

  /** Opens or makes the file. A file that cannot be opened throws here. */
  static async open(directory: string): Promise<LmdbFile> {
    mkdirSync(directory, { recursive: true });
    refuseDamaged(join(directory, 'data.mdb'));
    const { open } = await import('lmdb');
    // overlappingSync would acknowledge before the disk has the rows.
    const options = { path: directory, noSubdir: false, maxDbs: 3 + oldTablesMax, overlappingSync: false, ...binary };
    const root = open<Buffer, Buffer>(options);
    const file = new LmdbFile(root);
    moveOldRows(root, (rows) => file.#add(rows));
    return file;
  }

  private constructor(root: RootDatabase<Buffer, Buffer>) {
    this.#root = root;
    this.#entries = root.openDB('entries', binary);
    this.#blocks = root.openDB('blocks', binary);
    this.#meta = root.openDB('meta', binary);
  }

  append(rows: readonly HistoryRow[]): void {
    this.#root.transactionSync(() => this.#add(rows));
  }

  /** Removes at most `historyPruneRows` of the oldest rows that are too many or too old; returns how many. */
  prune({ rowsMax, keepFromMs }: Retention): number {
    // A process that was killed while it read would keep old pages from being used again.
    this.#root.readerCheck();
    return this.#root.transactionSync(() => {
      const tooMany = this.#count() - rowsMax;
      const keepFrom = idToBytes(lowestIdAt(keepFromMs));
      let removed = 0;
      for (;;) {
        const [oldest] = this.#blocks.getRange({ limit: 1 });
        if (oldest === undefined) break;
        const goes = Math.min(
          Math.max(tooMany - removed, countBelow(oldest.value, keepFrom)),
          historyPruneRows - removed,
          countOf(oldest.value),
        );
        if (goes <= 0) break;
        this.#removeFirst(oldest.value, goes);
        removed += goes;
      }
      this.#addToCount(-removed);
      return removed;
    });
  }

  async page(query: HistoryQuery): Promise<HistoryPage> {
    const matches = filterOf(query);
    const low = query.fromMs === undefined ? lowestId : idToBytes(lowestIdAt(query.fromMs));
    const high = query.toMs === undefined ? aboveIds : idToBytes(lowestIdAt(query.toMs));
    const before = query.before === undefined ? aboveIds : idToBytes(query.before);
    // Without filters the total is known: only the rows of the page and those passed over are looked at.
    const countsAll = matches === undefined && query.fromMs === undefined && query.toMs === undefined;
    // One row more than the page has, to know whether there is more.
    const wanted = query.limit + 1;
    const rows: HistoryRow[] = [];
    let toPass = query.offset;
    let total = 0;
    for await (const block of this.#newestFirst(low, countsAll ? before : high)) {
      const view = new DataView(block.buffer, block.byteOffset, block.length);
      const first = countBelow(block, low);
      const pageEnd = countBelow(block, before);
      for (let index = countBelow(block, high) - 1; index >= first; index -= 1) {
        if (matches !== undefined && !matches(view, index * recordBytes)) continue;
        total += 1;
        if (index >= pageEnd || rows.length === wanted) continue;
        if (toPass > 0) toPass -= 1;
        else rows.push(this.#entry(idAt(block, index)));
      }
      if (countsAll && rows.length === wanted) break;
    }
    return {
      rows: rows.slice(0, query.limit),
      total: countsAll ? this.#count() : total,
      more: rows.length > query.limit,
    };
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  /** The blocks that may hold ids from `low` up to below `high`. Lets others in between, who may add or remove rows. */
  async *#newestFirst(low: Buffer, high: Buffer): AsyncGenerator<Buffer> {
    for (let start = high; ; await turn()) {
      let seen = 0;
      for (const { key, value } of this.#blocks.getRange({ reverse: true, start, exclusiveStart: true, limit: scanBlocks })) {
        yield value;
        if (Buffer.compare(key, low) <= 0) return;
        start = key;
        seen += 1;
      }
      if (seen < scanBlocks) return;
    }
  }

  #add(rows: readonly HistoryRow[]): void {
    const added = rows.filter((row) => {
      const id = idToBytes(row.id);
      if (this.#entries.doesExist(id)) return false;
      this.#entries.putSync(id, Buffer.from(JSON.stringify(row)));
      return true;
    });
    let records = recordsOf(added);
    while (records.length > 0) records = this.#insertIntoOne(records);
    this.#addToCount(added.length);
  }

  /** Puts the records into the block where the first of them belongs; returns those that belong further on. */
  #insertIntoOne(records: Buffer): Buffer {
    const first = idAt(records, 0);
    const [home] = this.#blocks.getRange({ reverse: true, start: first, limit: 1 });
    const [next] = this.#blocks.getKeys({ start: first, exclusiveStart: true, limit: 1 });
    const count = next === undefined ? countOf(records) : countBelow(records, next);
    for (const block of insert(home?.value ?? noRecords, slice(records, 0, count), next === undefined)) {
      this.#blocks.putSync(idAt(block, 0), block);
    }
    return slice(records, count);
  }

  #removeFirst(block: Buffer, count: number): void {
    for (let index = 0; index < count; index += 1) this.#entries.removeSync(idAt(block, index));
    this.#blocks.removeSync(idAt(block, 0));
    if (count < countOf(block)) this.#blocks.putSync(idAt(block, count), slice(block, count));
  }

  #entry(id: Buffer): HistoryRow {
    return JSON.parse(this.#entries.get(id)!.toString()) as HistoryRow;
  }

  #count(): number {
    return this.#meta.get(countKey)?.readDoubleLE() ?? 0;
  }

  #addToCount(entries: number): void {
    if (entries === 0) return;
    const count = Buffer.allocUnsafe(8);
    count.writeDoubleLE(this.#count() + entries);
    this.#meta.putSync(countKey, count);
  }
}
