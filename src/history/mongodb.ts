// The inference history in MongoDB: collection `inference_history`, a document for each row with the row's id as `_id`.
// Invariant: ids sort by time, so order, cursors and time ranges are all ranges of `_id`.
//
// Durable as the URL's write concern says; the driver's default is a majority of the replica set.
import type { Collection, Filter, IndexDescription, MongoBulkWriteError, MongoServerError } from 'mongodb';
import { historyPruneRows, historyReadMsMax } from '../limits.ts';
import { lowestIdAt, type HistoryRow } from './row.ts';
import type { HistoryPage, HistoryQuery, HistoryStore, Retention } from './store.ts';

/** `timestamp` is a date in the database, as its tools expect. */
type Document = Omit<HistoryRow, 'id' | 'timestamp'> & { readonly _id: string; readonly timestamp: Date };

const databaseStandard = 'ortserve';
const collectionName = 'inference_history';
/** Finding a server, and waiting for its answer: a lost database must not hold a batch for longer. */
const connectMsMax = 1500;
const answerMsMax = 10_000;
const duplicateKey = 11_000;
const namespaceNotFound = 26;

const indexes: IndexDescription[] = [
  { key: { version: 1, _id: -1 } },
  { key: { model: 1, _id: -1 } },
  { key: { status: 1, _id: -1 } },
  { key: { error_code: 1, _id: -1 } },
  // A range: few slow rows of many are found, and any number of them counted, without reading documents.
  { key: { inference_time_ms: 1, _id: -1 } },
];

/** Connects and makes the indexes; rejects when the server cannot be reached. Afterwards the driver reconnects. */
export async function openMongodbHistory(url: string): Promise<HistoryStore> {
  const { MongoClient } = await import('mongodb');
  const client = new MongoClient(url, {
    appName: 'ortserve',
    maxPoolSize: 8,
    serverSelectionTimeoutMS: connectMsMax,
    connectTimeoutMS: connectMsMax,
    waitQueueTimeoutMS: connectMsMax,
    socketTimeoutMS: answerMsMax,
    ignoreUndefined: true,
  });
  const collection = client.db(databaseOf(url)).collection<Document>(collectionName);
  try {
    await createMissingIndexes(collection);
  } catch (error) {
    await client.close();
    throw error;
  }
  return {
    append: (rows) => append(collection, rows),
    page: (query, signal) => page(collection, query, signal),
    prune: (retention) => prune(collection, retention),
    close: () => client.close(),
  };
}

/** MongoDB passes over an index that exists, but not every server of its protocol does. */
async function createMissingIndexes(collection: Collection<Document>): Promise<void> {
  const existing = await collection.indexes().catch((error: unknown) => {
    if ((error as MongoServerError).code === namespaceNotFound) return [];
    throw error;
  });
  const keys = new Set(existing.map(({ key }) => JSON.stringify(key)));
  const missing = indexes.filter(({ key }) => !keys.has(JSON.stringify(key)));
  if (missing.length > 0) await collection.createIndexes(missing);
}

async function append(collection: Collection<Document>, rows: readonly HistoryRow[]): Promise<void> {
  if (rows.length === 0) return;
  const documents = rows.map(({ id, timestamp, ...rest }) => ({ _id: id, ...rest, timestamp: new Date(timestamp) }));
  try {
    await collection.insertMany(documents, { ordered: false });
  } catch (error) {
    // Rows that an earlier try had stored before its answer was lost.
    const errors = [(error as MongoBulkWriteError).writeErrors ?? []].flat();
    if (errors.length === 0 || errors.some(({ code }) => code !== duplicateKey)) throw error;
  }
}

async function page(
  collection: Collection<Document>, query: HistoryQuery, signal: AbortSignal | undefined,
): Promise<HistoryPage> {
  const filter = filterOf(query);
  const below = query.before === undefined ? filter : { $and: [filter, { _id: { $lt: query.before } }] };
  // For a reader that gives up: the signal frees the connection, so that those of a server that hangs leave the pool to the
  // writer; the time ends the work of a server that is only slow.
  const options = signal && { signal, maxTimeMS: historyReadMsMax };
  const [documents, total] = await Promise.all([
    collection.find(below, options).sort({ _id: -1 }).skip(query.offset).limit(query.limit + 1).toArray(),
    // Not the estimate from the collection's metadata, which may be wrong after a crash.
    collection.countDocuments(filter, options),
  ]);
  return { rows: documents.slice(0, query.limit).map(rowOf), total, more: documents.length > query.limit };
}

/** Every process finds the same oldest rows, so several that remove them at once remove no more than one would. */
async function prune(collection: Collection<Document>, { rowsMax, keepFromMs }: Retention): Promise<number> {
  const keepFrom = lowestIdAt(keepFromMs);
  const [first] = await ids(collection, -1, rowsMax, 1);
  const oldest = await ids(collection, 1, 0, historyPruneRows);
  const last = oldest.findLast((id) => id < keepFrom || (first !== undefined && id <= first));
  if (last === undefined) return 0;
  return (await collection.deleteMany({ _id: { $lte: last } })).deletedCount;
}

async function ids(collection: Collection<Document>, order: 1 | -1, skip: number, limit: number): Promise<string[]> {
  const found = collection.find({}, { projection: { _id: 1 } }).sort({ _id: order }).skip(skip).limit(limit);
  return (await found.toArray()).map(({ _id }) => _id);
}

function filterOf(query: HistoryQuery): Filter<Document> {
  const { version, model, status, fromMs, toMs, inferenceMsMin: min, inferenceMsMax: max } = query;
  const ended = status === 'success' || status === 'error' ? { status } : { error_code: status };
  return {
    ...(version !== undefined && { version }),
    ...(model !== undefined && { model }),
    ...(status !== undefined && ended),
    ...((fromMs !== undefined || toMs !== undefined) && { _id: {
      ...(fromMs !== undefined && { $gte: lowestIdAt(fromMs) }), ...(toMs !== undefined && { $lt: lowestIdAt(toMs) }),
    } }),
    ...((min !== undefined || max !== undefined) && { inference_time_ms: {
      ...(min !== undefined && { $gte: min }), ...(max !== undefined && { $lte: max }),
    } }),
  } as Filter<Document>;
}

function rowOf({ _id, timestamp, ...rest }: Document): HistoryRow {
  return { id: _id, ...rest, timestamp: timestamp.toISOString() };
}

/** The path of the URL, which the driver alone would replace by `test` when it is empty. */
function databaseOf(url: string): string {
  const name = /^[^:]+:\/\/[^/?]+\/([^/?]+)/.exec(url)?.[1];
  return name === undefined ? databaseStandard : decodeURIComponent(name);
}
