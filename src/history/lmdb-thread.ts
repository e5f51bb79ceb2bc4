// Thread entry of the embedded history: one LMDB file, one request after the other.
// Invariant: every request gets exactly one reply; a failure is a reply, never the end of the thread.
import { parentPort, workerData } from 'node:worker_threads';
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

export type ThreadReply = { readonly number: number } & (
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string });

/** The text is in `workerData`, so that a request needs no path. */
export type ThreadData = { readonly directory: string };

const port = parentPort!;
const { directory } = workerData as ThreadData;
let file: LmdbFile | undefined;

port.on('message', (message: { number: number; request: ThreadRequest }) => void answer(message));

async function answer({ number, request }: { number: number; request: ThreadRequest }): Promise<void> {
  let reply: ThreadReply;
  try {
    reply = { number, ok: true, value: await perform(request) };
  } catch (error) {
    reply = { number, ok: false, message: error instanceof Error ? error.message : String(error) };
  }
  port.postMessage(reply);
  if (request.kind === 'close') port.close();
}

async function perform(request: ThreadRequest): Promise<unknown> {
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
}
