// Thread entry of the embedded history: one LMDB file, one request after the other.
import { workerData } from 'node:worker_threads';
import { answerThread } from '../storage/asked-thread.ts';
import { LmdbFile } from './lmdb-file.ts';
import type { HistoryQuery, Retention } from './store.ts';
import type { HistoryRow } from './row.ts';

/** What the thread is asked. Rows travel as one JSON text: that costs the sender least. */
export type ThreadRequest =
  | { readonly kind: 'open' }
  | { readonly kind: 'append'; readonly rowsJson: string }
  | { readonly kind: 'page'; readonly query: HistoryQuery }
  | { readonly kind: 'prune'; readonly retention: Retention }
  | { readonly kind: 'close' };

/** The text is in `workerData`, so that a request needs no path. */
export type ThreadData = { readonly directory: string };

const { directory } = workerData as ThreadData;
let file: LmdbFile | undefined;

answerThread<ThreadRequest>(async (request) => {
  if (request.kind === 'open') {
    file ??= await LmdbFile.open(directory);
    return undefined;
  }
  if (file === undefined) throw new Error('The history file is not open.');
  if (request.kind === 'append') return file.append(JSON.parse(request.rowsJson) as HistoryRow[]);
  if (request.kind === 'page') return file.page(request.query);
  if (request.kind === 'prune') return file.prune(request.retention);
  const closing = file;
  file = undefined;
  return closing.close();
});
