// The first layout of the embedded history, read once more: its rows move to the present one when the file is opened.
//
//   rows     id            -> inference ms 8 | series 16 | row as JSON
//   index, series, and 'rows' in meta: what the present layout keeps otherwise
//
// A step is one transaction, so a process that is killed goes on where it was. The tables stay, empty: a process of
// the first layout that still has the folder open may write to them, and whoever opens the file next moves that, too.
import type { RootDatabase } from 'lmdb';
import { historyPruneRows } from '../limits.ts';
import type { HistoryRow } from './row.ts';

const rowHeadBytes = 24;
const oldTables = ['rows', 'index', 'series'];
/** LMDB lists its tables in the root, and the lmdb package ends their names so. */
const rowsTableKey = Buffer.from('rows\0');
const oldCountKey = Buffer.from('rows');
export const oldTablesMax = oldTables.length;

/** What every table of the history is opened with. */
export const binary = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const;

/** `add` is called within a transaction. */
export function moveOldRows(root: RootDatabase<Buffer, Buffer>, add: (rows: readonly HistoryRow[]) => void): void {
  if (!root.doesExist(rowsTableKey)) return;
  const [rows, index, series] = oldTables.map((name) => root.openDB<Buffer, Buffer>(name, binary));
  const meta = root.openDB<Buffer, Buffer>('meta', binary);
  for (let moved = 1; moved > 0;) {
    moved = root.transactionSync(() => {
      const step = [...rows!.getRange({ limit: historyPruneRows })];
      add(step.map(({ value }) => JSON.parse(value.toString('utf8', rowHeadBytes)) as HistoryRow));
      for (const { key } of step) rows!.removeSync(key);
      return step.length;
    });
  }
  if (meta.doesExist(oldCountKey)) {
    root.transactionSync(() => {
      index!.clearSync();
      series!.clearSync();
      meta.removeSync(oldCountKey);
    });
  }
}
