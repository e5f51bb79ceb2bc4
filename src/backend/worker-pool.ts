// The worker threads of one model: asked what they loaded, given tasks, ended. Stands between Piscina and the backends.
// Piscina has no affinity, so a pool serves one model; closing the pool frees its threads and memory.
// Invariant: no thread is stopped while it loads or runs. Stopping one inside native code aborts the process.
import { setTimeout as sleep } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { ServerError } from '../errors.ts';
import { stuckRetryMs } from '../limits.ts';
import type { Failure, PoolSettings, WorkerSettled } from './protocol.ts';

const pollMs = 5;

/** What each worker says of itself and its model. */
type Description = {
  readonly ok: true;
  readonly worker: number;
  /** Why a wanted device was not used; undefined when it was. */
  readonly fallback: string | undefined;
};

/** When a task is taken to never end, and who is told. */
export type Patience = {
  /** Loading is a task, too. */
  readonly taskMsMax: number;
  /** Once; from then on every task is refused with MODEL_STUCK, those that run too. */
  readonly onStuck: () => void;
};

export type WorkerPoolOptions = {
  /** What a worker thread runs. It posts WorkerSettled once it has loaded or failed to. */
  readonly entry: URL;
  readonly workers: number;
  /** The entry's `workerData`, but for what the pool adds. */
  readonly settings: object;
  /** Told when a worker dies between tasks, and when the one that takes its place cannot load; others try again. */
  readonly onCrash: (error: Error) => void;
  /** Absent, tasks may take for ever. */
  readonly patience?: Patience | undefined;
};

export type OpenedPool<Task, Described> = { readonly pool: WorkerPool<Task>; readonly description: Described };

/**
 * Opens the model in every worker and returns once all answer. A model that cannot be opened rejects with the
 * worker's reason and leaves no thread behind.
 */
export async function openWorkerPool<Task, Described extends Description>(
  options: WorkerPoolOptions,
  describe: Task,
): Promise<OpenedPool<Task, Described>> {
  const pool = new WorkerPool<Task>(options);
  try {
    const description = await describeAll<Task, Described>(pool, describe);
    pool.opened();
    return { pool, description };
  } catch (error) {
    await pool.close();
    throw error;
  }
}

/** One that is ready early may take the question meant for one that still loads, so all are asked until each has answered. */
async function describeAll<Task, Described extends Description>(pool: WorkerPool<Task>, describe: Task): Promise<Described> {
  const known = new Map<number, Described>();
  while (known.size < pool.workers) {
    for (const reply of await pool.runInAll<Described>(describe, pool.workers - known.size)) known.set(reply.worker, reply);
    if (known.size < pool.workers) await sleep(pollMs);
  }
  const descriptions = [...known.values()];
  // A fallback of any worker is the pool's: an operator must see it.
  return descriptions.find(({ fallback }) => fallback !== undefined) ?? descriptions[0]!;
}

export class WorkerPool<Task> {
  readonly workers: number;
  readonly #pool: Piscina<Task, { readonly ok: true } | Failure>;
  readonly #running = new Set<Promise<unknown>>();
  /** Threads that no longer load. */
  readonly #settled = new Set<number>();
  readonly #patience: Patience | undefined;
  /** Of those who wait for a task. */
  readonly #rejects = new Set<(error: ServerError) => void>();
  #isOpen = false;
  #isClosing = false;
  #isStuck = false;

  constructor({ entry, workers, settings, onCrash, patience }: WorkerPoolOptions) {
    this.workers = workers;
    this.#patience = patience;
    this.#pool = new Piscina({
      filename: entry.href,
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: 1,
      idleTimeout: Infinity,
      // Tasks wait in the backends' own queues, where they can still be dropped.
      maxQueue: workers,
      recordTiming: false,
      workerData: { ...settings, workerCounter: new SharedArrayBuffer(4) } satisfies PoolSettings,
    });
    this.#pool.on('error', onCrash);
    this.#pool.on('message', ({ settledThread, failure }: WorkerSettled) => {
      this.#settled.add(settledThread);
      if (failure !== undefined && this.#isOpen) onCrash(new Error('A worker could not load the model again.', { cause: failure.cause }));
    });
  }

  /** Until now the failures of workers were the caller's. */
  opened(): void {
    this.#isOpen = true;
  }

  /**
   * Throws the worker's failure, BACKEND_FAILED when the worker died, MODEL_STUCK when a worker does not come back,
   * MODEL_NOT_READY once the pool closes.
   * @param transfer memory that the worker takes
   */
  async run<Reply extends { readonly ok: true }>(task: Task, transfer: ArrayBuffer[] = []): Promise<Reply> {
    if (this.#isClosing) throw new ServerError('MODEL_NOT_READY', 'The model is being unloaded.');
    if (this.#isStuck) throw stuckError();
    const running = this.#pool.run(task, { transferList: transfer });
    this.#running.add(running);
    let reply: { readonly ok: true } | Failure;
    try {
      reply = await this.#patiently(running);
    } catch (cause) {
      if (cause instanceof ServerError) throw cause;
      throw new ServerError('BACKEND_FAILED', undefined, { cause });
    } finally {
      this.#running.delete(running);
    }
    if (!reply.ok) throw new ServerError(reply.code, reply.detail, { cause: reply.cause });
    return reply as Reply;
  }

  /** As many at once as there are workers: with one task a worker, each gets one. */
  runInAll<Reply extends { readonly ok: true }>(task: Task, count = this.workers): Promise<Reply[]> {
    return Promise.all(Array.from({ length: count }, () => this.run<Reply>(task)));
  }

  /**
   * Takes no more tasks, waits for those that run and for workers that load, then ends the threads. Piscina's own
   * close() counts workers twice, gives up after its timeout and knows nothing of loading. A stuck worker is left
   * as it is: only the end of the process ends it.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#isStuck) return;
    await Promise.allSettled(this.#running);
    // One that died has left the list of threads; another one that takes its place loads, too.
    while (this.#pool.threads.some(({ threadId }) => !this.#settled.has(threadId))) await sleep(pollMs);
    await this.#pool.destroy();
  }

  /** Settles as the task does, or rejects with MODEL_STUCK when one of the pool's takes too long. */
  #patiently<Reply>(running: Promise<Reply>): Promise<Reply> {
    if (this.#patience === undefined) return running;
    return new Promise((resolve, reject) => {
      // After the poll phase: the answer may have come while this thread was busy.
      const timer = setTimeout(() => setImmediate(() => this.#rejects.has(reject) && this.#giveUp()), this.#patience!.taskMsMax);
      timer.unref();
      this.#rejects.add(reject);
      void running.then(resolve, reject).finally(() => {
        clearTimeout(timer);
        this.#rejects.delete(reject);
      });
    });
  }

  #giveUp(): void {
    if (this.#isStuck) return;
    this.#isStuck = true;
    this.#patience!.onStuck();
    for (const reject of this.#rejects) reject(stuckError());
    this.#rejects.clear();
  }
}

function stuckError(): ServerError {
  return new ServerError('MODEL_STUCK', undefined, { retryAfterMs: stuckRetryMs });
}
