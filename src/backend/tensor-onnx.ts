// Runs one tensor model in the workers of a pool: each thread owns an ONNX session.
// Invariants: runs start in the order they came, and a run that has started is never aborted.
import { ServerError } from '../errors.ts';
import { retryAfterMsMax, retryAfterMsMin, tensorQueueBytesMax, tensorQueueTasksMax } from '../limits.ts';
import { queueTimeout, type TensorBackend, type TensorResult, type TensorRun } from './tensor-backend.ts';
import type { TensorDescription, TensorReply, TensorWorkerSettings, TensorWorkerTask } from './tensor-protocol.ts';
import type { PoolSettings, SessionOptions } from './protocol.ts';
import { openWorkerPool, type OpenedPool, type Patience, type WorkerPool } from './worker-pool.ts';

/** What a run is taken to last until one has been timed. */
const runMsStart = 50;

export type TensorOnnxOptions = SessionOptions & {
  /** Worker threads, each with its session. */
  readonly instances: number;
  readonly patience?: Patience | undefined;
};

/**
 * Opens the graph in every worker and returns once all answer. A graph that cannot be opened rejects with
 * MODEL_NOT_READY and leaves no thread behind.
 * @param onCrash told when a worker dies between tasks; another one takes its place.
 */
export async function openTensorBackend(
  onnxFile: string,
  options: TensorOnnxOptions,
  onCrash: (error: Error) => void,
): Promise<TensorBackend> {
  const { instances: workers, patience, ...session } = options;
  const settings: Omit<TensorWorkerSettings, keyof PoolSettings> = { onnxFile, ...session };
  const entry = new URL('../../native-workers/tensor-worker.js', import.meta.url);
  const pool = { entry, workers, settings, onCrash, patience };
  return new OnnxTensorBackend(await openWorkerPool(pool, { kind: 'describe' }));
}

type Waiting = {
  readonly run: TensorRun;
  readonly bytes: number;
  readonly sinceMs: number;
  /** Until its deadline; undefined without one. */
  timer?: NodeJS.Timeout;
  readonly resolve: (result: TensorResult) => void;
  readonly reject: (error: unknown) => void;
};

class OnnxTensorBackend implements TensorBackend {
  readonly description: TensorDescription;
  readonly concurrency: number;
  readonly #pool: WorkerPool<TensorWorkerTask>;
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #running = 0;
  #isClosing = false;
  #onIdle: (() => void) | undefined;
  #runMs = runMsStart;

  constructor({ pool, description }: OpenedPool<TensorWorkerTask, TensorDescription>) {
    this.description = description;
    this.concurrency = pool.workers;
    this.#pool = pool;
  }

  get pending(): number {
    return this.#queue.length + this.#running;
  }

  run(run: TensorRun): Promise<TensorResult> {
    if (this.#isClosing) return Promise.reject(new ServerError('MODEL_NOT_READY', 'The model is being unloaded.'));
    const bytes = run.inputs.reduce(
      (sum, [, { data }]) => sum + (Array.isArray(data) ? data.length : data.byteLength),
      0,
    );
    // An empty queue takes anything, so that no single request is refused for ever.
    const full = this.#queue.length > 0 && this.#queuedBytes + bytes > tensorQueueBytesMax;
    if (full || this.#queue.length >= tensorQueueTasksMax) {
      const waitMs = (this.#queue.length * this.#runMs) / this.concurrency;
      const retryAfterMs = Math.round(Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, waitMs)));
      return Promise.reject(
        new ServerError('QUEUE_FULL', 'Too many inferences wait for this model.', { retryAfterMs }),
      );
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { run, bytes, sinceMs: performance.now(), resolve, reject };
      this.#queue.push(waiting);
      this.#queuedBytes += bytes;
      if (run.deadlineMs !== undefined) {
        // One more, since timers round down.
        waiting.timer = setTimeout(() => this.#dropLate(waiting), Math.ceil(run.deadlineMs - waiting.sinceMs) + 1);
      }
      this.#pump();
    });
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.pending > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await this.#pool.close();
  }

  /** The runs before it may take long: it is answered now, not when its turn comes. */
  #dropLate(waiting: Waiting): void {
    this.#queue.splice(this.#queue.indexOf(waiting), 1);
    this.#queuedBytes -= waiting.bytes;
    waiting.reject(queueTimeout());
    this.#pump();
  }

  #pump(): void {
    while (this.#running < this.concurrency && this.#queue.length > 0) {
      const next = this.#queue.shift()!;
      clearTimeout(next.timer);
      this.#queuedBytes -= next.bytes;
      if (next.run.isCancelled()) next.reject(new ServerError('CANCELLED'));
      else if (performance.now() > (next.run.deadlineMs ?? Infinity)) next.reject(queueTimeout());
      else void this.#start(next);
    }
    if (this.pending === 0) this.#onIdle?.();
  }

  async #start({ run, sinceMs, resolve, reject }: Waiting): Promise<void> {
    this.#running += 1;
    const queueMs = performance.now() - sinceMs;
    // Several tensors may be views of one buffer: a request's body.
    const buffers = new Set(run.inputs.flatMap(([, { data }]) => (Array.isArray(data) ? [] : [data.buffer as ArrayBuffer])));
    try {
      const task = { kind: 'run', inputs: run.inputs, outputs: run.outputs } as const;
      const { outputs, runMs } = await this.#pool.run<TensorReply>(task, [...buffers]);
      this.#runMs += (runMs - this.#runMs) / 8;
      resolve({ outputs, queueMs, runMs, batchRows: 1 });
    } catch (error) {
      reject(error);
    } finally {
      this.#running -= 1;
      this.#pump();
    }
  }
}
