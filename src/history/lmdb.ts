// The embedded history, seen from the event loop: a thread of its own owns the file.
// Commits that wait for the disk and scans of many rows block that thread only.
import { AskedThread } from '../storage/asked-thread.ts';
import { ReopenedThread } from '../storage/reopened-thread.ts';
import type { ThreadData, ThreadRequest } from './lmdb-thread.ts';
import type { HistoryPage, HistoryStore } from './store.ts';

/** Rejects when the file cannot be opened. A thread that died is replaced at the next request. */
export async function openLmdbHistory(directory: string): Promise<HistoryStore> {
  const thread = new ReopenedThread(() => openThread(directory));
  await thread.ask({ kind: 'open' });
  return {
    append: async (rows) => void (await thread.ask({ kind: 'append', rowsJson: JSON.stringify(rows) })),
    page: async (query) => (await thread.ask({ kind: 'page', query })) as HistoryPage,
    prune: async (retention) => (await thread.ask({ kind: 'prune', retention })) as number,
    close: () => thread.end(),
  };
}

async function openThread(directory: string): Promise<AskedThread<ThreadRequest>> {
  const workerData: ThreadData = { directory };
  const thread = new AskedThread<ThreadRequest>('history', new URL('./lmdb-thread.js', import.meta.url), workerData);
  try {
    await thread.ask({ kind: 'open' });
    return thread;
  } catch (error) {
    await thread.end();
    throw error;
  }
}
