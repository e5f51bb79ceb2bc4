// Runs one tensor model on a Piscina pool of its own: each worker thread owns an ONNX session.
// Invariants: runs start in the order they came, a run that has started is never aborted, and no thread is
// stopped while it runs: stopping one inside native code aborts the process.
import { setTimeout as sleep } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { ServerError } from '../errors.ts';
import { retryAfterMsMax, retryAfterMsMin, tensorQueueBytesMax, tensorQueueTasksMax } from '../limits.ts';
import type { TensorBackend, TensorResult, TensorRun } from './tensor-backend.ts';
import type {
  TensorDescription,
  TensorReply,
  TensorTask,
  TensorWorkerReply,
  TensorWorkerSettings,
  TensorWorkerTask,
} from './tensor-protocol.ts';

const describePollMs = 5;
/** A worker that died while it loaded is never counted. */
const loadedWaitMsMax = 30_000;
/** What a run is taken to last until one has been timed. */
const runMsStart = 50;

export type TensorOnnxOptions = {
  /** Worker threads, each with its session. */
  readonly instances: number;
  readonly intraOpThreads: number;
  readonly intraOpSpinning: boolean;
  readonly cpuArena: boolean;
  /** 'cpu', 'cuda:0', …; worker i takes entry i modulo the length. */
  readonly devices: readonly string[];
};

/**
 * Opens the graph in every worker and returns once all answer. A graph that cannot be opened rejects with
 * MODEL_NOT_READY and leaves no thread behind.
 * @param onCrash told when a worker dies between tasks; Piscina starts another one.
 */
export async function openTensorBackend(
  onnxFile: string,
  options: TensorOnnxOptions,
  onCrash: (error: Error) => void,
): Promise<TensorBackend> {
  const counters = new SharedArrayBuffer(8);
  const pool = new Piscina<TensorWorkerTask, TensorWorkerReply>({
    filename: new URL('../../native-workers/tensor-worker.js', import.meta.url).href,
    minThreads: options.instances,
    maxThreads: options.instances,
    concurrentTasksPerWorker: 1,
    idleTimeout: Infinity,
    // Runs wait in this file's queue, where they can still be dropped.
    maxQueue: options.instances,
    recordTiming: false,
    workerData: {
      onnxFile,
      intraOpThreads: options.intraOpThreads,
      spinning: options.intraOpSpinning,
      arena: options.cpuArena,
      devices: options.devices,
      counters,
    } satisfies TensorWorkerSettings,
  });
  pool.on('error', onCrash);
  const ask = async <Reply extends TensorWorkerReply>(
    task: TensorWorkerTask,
    transfer: ArrayBuffer[] = [],
  ): Promise<Reply> => {
    let reply: TensorWorkerReply;
    try {
      reply = await pool.run(task, { transferList: transfer });
    } catch (cause) {
      throw new ServerError('BACKEND_FAILED', undefined, { cause });
    }
    if (!reply.ok) throw new ServerError(reply.code, reply.detail, { cause: reply.cause });
    return reply as Reply;
  };
  try {
    const description = await describeAll(() => ask<TensorDescription>({ kind: 'describe' }), options.instances);
    return new OnnxTensorBackend(description, options.instances, ask, () => pool.destroy());
  } catch (error) {
    await allLoaded(counters, options.instances);
    await pool.destroy();
    throw error;
  }
}

/** One worker's failure comes while others may still load in native code, where they must not be stopped. */
async function allLoaded(counters: SharedArrayBuffer, workers: number): Promise<void> {
  const endMs = performance.now() + loadedWaitMsMax;
  while (Atomics.load(new Int32Array(counters), 1) < workers && performance.now() < endMs) await sleep(describePollMs);
}

/** Asks until each worker has answered: one that is ready early may take the question meant for another. */
async function describeAll(describe: () => Promise<TensorDescription>, workers: number): Promise<TensorDescription> {
  const known = new Map<number, TensorDescription>();
  while (known.size < workers) {
    const asked = Array.from({ length: workers - known.size }, describe);
    // All must have settled before an error may end the pool.
    for (const settled of await Promise.allSettled(asked)) {
      if (settled.status === 'rejected') throw settled.reason as Error;
      known.set(settled.value.worker, settled.value);
    }
    if (known.size < workers) await sleep(describePollMs);
  }
  const descriptions = [...known.values()];
  // A fallback of any worker is the pool's: an operator must see it.
  return descriptions.find((description) => description.fallback !== undefined) ?? descriptions[0]!;
}

type Waiting = {
  readonly run: TensorRun;
  readonly bytes: number;
  readonly sinceMs: number;
  readonly resolve: (result: TensorResult) => void;
  readonly reject: (error: unknown) => void;
};

type Ask = (task: TensorTask, transfer: ArrayBuffer[]) => Promise<TensorReply>;

class OnnxTensorBackend implements TensorBackend {
  readonly description: TensorDescription;
  readonly concurrency: number;
  readonly #ask: Ask;
  readonly #destroy: () => Promise<void>;
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #running = 0;
  #isClosing = false;
  #onIdle: (() => void) | undefined;
  #runMs = runMsStart;

  constructor(description: TensorDescription, concurrency: number, ask: Ask, destroy: () => Promise<void>) {
    this.description = description;
    this.concurrency = concurrency;
    this.#ask = ask;
    this.#destroy = destroy;
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
      this.#queue.push({ run, bytes, sinceMs: performance.now(), resolve, reject });
      this.#queuedBytes += bytes;
      this.#pump();
    });
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.pending > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await this.#destroy();
  }

  #pump(): void {
    while (this.#running < this.concurrency && this.#queue.length > 0) {
      const next = this.#queue.shift()!;
      this.#queuedBytes -= next.bytes;
      if (next.run.isCancelled()) next.reject(new ServerError('CANCELLED'));
      else void this.#start(next);
    }
    if (this.pending === 0) this.#onIdle?.();
  }

  async #start({ run, sinceMs, resolve, reject }: Waiting): Promise<void> {
    this.#running += 1;
    const queueMs = performance.now() - sinceMs;
    const transfer = run.inputs.flatMap(([, { data }]) => (Array.isArray(data) ? [] : [data.buffer as ArrayBuffer]));
    try {
      const { outputs, runMs } = await this.#ask({ kind: 'run', inputs: run.inputs, outputs: run.outputs }, transfer);
      this.#runMs += (runMs - this.#runMs) / 8;
      resolve({ outputs, queueMs, runMs });
    } catch (error) {
      reject(error);
    } finally {
      this.#running -= 1;
      this.#pump();
    }
  }
}
