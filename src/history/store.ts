// Where the inference history is kept: the one interface of the embedded file and MongoDB.
// Invariant: rows are only ever added and removed from the old end; an id is stored once, however often it is sent.
import type { HistoryRow } from './row.ts';

export type HistoryQuery = {
  readonly limit: number;
  /** Rows passed over, counted from `before` when that is given. */
  readonly offset: number;
  /** Only rows older than the one with this id. */
  readonly before?: string;
  readonly version?: string;
  readonly model?: string;
  /** `success`, `error` for every error, or one code of the error table. */
  readonly status?: string;
  /** The first millisecond that counts. */
  readonly fromMs?: number;
  /** The first millisecond that counts no more. */
  readonly toMs?: number;
  /** Both inclusive; rows without a time match neither. */
  readonly inferenceMsMin?: number;
  readonly inferenceMsMax?: number;
};

/** Newest first. */
export type HistoryPage = {
  readonly rows: readonly HistoryRow[];
  /** All rows that match the filters; `before`, `offset` and `limit` change nothing about it. */
  readonly total: number;
  /** Whether older rows match. */
  readonly more: boolean;
};

export type Retention = {
  readonly rowsMax: number;
  /** Rows from before this moment go. */
  readonly keepFromMs: number;
};

export interface HistoryStore {
  /** Resolves once the rows are durable as the store promises. Rows already stored are passed over. */
  append(rows: readonly HistoryRow[]): Promise<void>;
  /** After `signal` nobody waits for it: the store may give up. */
  page(query: HistoryQuery, signal?: AbortSignal): Promise<HistoryPage>;
  /** One small step; how many rows it removed. 0 when nothing is left to remove. */
  prune(retention: Retention): Promise<number>;
  close(): Promise<void>;
}

export type HistoryStoreOptions = {
  /** Unset: the embedded store. */
  readonly mongodbUrl?: string | undefined;
  /** Folder of the embedded store. Made when absent. */
  readonly directory: string;
};

/** Opens the store that the options name; loads only that one's code. */
export async function openHistoryStore({ mongodbUrl, directory }: HistoryStoreOptions): Promise<HistoryStore> {
  if (mongodbUrl === undefined) return (await import('./lmdb.ts')).openLmdbHistory(directory);
  return (await import('./mongodb.ts')).openMongodbHistory(mongodbUrl);
}
