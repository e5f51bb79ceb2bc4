// The embedded history, seen from the event loop: a thread of its own owns the file.
// Commits that wait for the disk and scans of many rows block that thread only.
import { Worker } from 'node:worker_threads';
import type { ThreadData, ThreadReply, ThreadRequest } from './lmdb-thread.ts';
import type { HistoryPage, HistoryStore } from './store.ts';

/** Rejects when the file cannot be opened. A thread that died is replaced at the next request. */
export async function openLmdbHistory(directory: string): Promise<HistoryStore> {
  let thread = await openThread(directory);
  const ask = async (request: ThreadRequest): Promise<unknown> => {
    if (thread.gone) thread = await openThread(directory);
    return thread.ask(request);
  };
  return {
    append: async (rows) => void (await ask({ kind: 'append', rowsJson: JSON.stringify(rows) })),
    page: async (query) => (await ask({ kind: 'page', query })) as HistoryPage,
    prune: async (retention) => (await ask({ kind: 'prune', retention })) as number,
    close: () => thread.end(),
  };
}

async function openThread(directory: string): Promise<Thread> {
  const thread = new Thread(directory);
  try {
    await thread.ask({ kind: 'open' });
    return thread;
  } catch (error) {
    await thread.end();
    throw error;
  }
}

type Waiting = { resolve: (value: unknown) => void; reject: (error: Error) => void };

class Thread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #requests = 0;
  #gone: Error | undefined;

  constructor(directory: string) {
    const workerData: ThreadData = { directory };
    this.#worker = new Worker(new URL('./lmdb-thread.js', import.meta.url), { workerData, name: 'history' });
    // A thread that waits for rows must not keep the process.
    this.#worker.unref();
    this.#worker.on('message', (reply: ThreadReply) => this.#settle(reply));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#fail(new Error('The thread of the history has ended.'));
        resolve();
      });
    });
  }

  get gone(): boolean {
    return this.#gone !== undefined;
  }

  ask(request: ThreadRequest): Promise<unknown> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone);
    return new Promise((resolve, reject) => {
      const number = this.#requests++;
      this.#waiting.set(number, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ number, request });
    });
  }

  /** Closes the file and lets the thread end by itself: to stop it inside native code would abort the process. */
  async end(): Promise<void> {
    await this.ask({ kind: 'close' }).catch(() => undefined);
    this.#worker.ref();
    await this.#exited;
  }

  #settle(reply: ThreadReply): void {
    const waiting = this.#waiting.get(reply.number);
    this.#waiting.delete(reply.number);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(new Error(reply.message));
  }

  #fail(error: Error): void {
    this.#gone ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#gone);
    this.#waiting.clear();
  }
}
