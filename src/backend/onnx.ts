// Runs one model on a Piscina pool of its own: each worker thread owns an ONNX session.
// Piscina has no affinity, so a pool serves one model; closing the pool frees its threads and memory.
// Invariants: no task that has started is aborted, no thread is stopped while it runs.
import { setTimeout as sleep } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { ServerError } from '../errors.ts';
import type { Backend } from './backend.ts';
import type { EmbeddingManifest } from './manifest.ts';
import { measureRunCost, runCostStart } from './probe.ts';
import type {
  DescribeReply,
  EmbedReply,
  EmbedTask,
  ProbeReply,
  RunCost,
  WorkerReply,
  WorkerSettings,
  WorkerTask,
} from './protocol.ts';

type Pool = Piscina<WorkerTask, WorkerReply>;

const describePollMs = 5;

export type OnnxOptions = {
  readonly workers: number;
  readonly intraOpThreads: number;
  readonly intraOpSpinning: boolean;
  readonly cpuArena: boolean;
  /** 'cpu', 'cuda:0', …; worker i takes entry i modulo the length. */
  readonly devices: readonly string[];
  /** 'auto' measures it. */
  readonly runTokensMax: 'auto' | number;
};

/**
 * Opens the model in every worker and returns once all answer. A model that cannot be opened rejects with
 * the worker's reason and leaves no thread behind.
 * @param onCrash told when a worker dies between tasks; Piscina starts another one.
 */
export async function openOnnxBackend(
  manifest: EmbeddingManifest,
  options: OnnxOptions,
  onCrash: (error: Error) => void,
): Promise<Backend> {
  const pool = new Piscina<WorkerTask, WorkerReply>({
    filename: new URL('../../native-workers/embedding-worker.js', import.meta.url).href,
    minThreads: options.workers,
    maxThreads: options.workers,
    concurrentTasksPerWorker: 1,
    idleTimeout: Infinity,
    // The batcher hands over one task a worker; probes at load are as many.
    maxQueue: options.workers,
    recordTiming: false,
    workerData: workerSettings(manifest, options),
  });
  pool.on('error', onCrash);
  const tasks = new WorkerTasks(pool);
  try {
    return new OnnxBackend(tasks, options, await describeAll(tasks, options.workers));
  } catch (error) {
    await tasks.close();
    throw error;
  }
}

class OnnxBackend implements Backend {
  readonly description: DescribeReply;
  readonly concurrency: number;
  readonly #tasks: WorkerTasks;
  readonly #runTokensMax: 'auto' | number;
  #runCost: RunCost;

  constructor(tasks: WorkerTasks, options: OnnxOptions, description: DescribeReply) {
    this.#tasks = tasks;
    this.#runTokensMax = options.runTokensMax;
    this.#runCost = options.runTokensMax === 'auto' ? runCostStart : { ...runCostStart, tokensMax: options.runTokensMax };
    this.concurrency = options.workers;
    this.description = description;
  }

  get runCost(): RunCost {
    return this.#runCost;
  }

  embed(task: EmbedTask): Promise<EmbedReply> {
    return this.#tasks.run<EmbedReply>(task);
  }

  async tune(alone: <Value>(step: () => Promise<Value>) => Promise<Value>): Promise<void> {
    this.#runCost = await measureRunCost({
      fixedTokensMax: this.#runTokensMax,
      inputTokensMax: this.description.inputTokensMax,
      probe: (count, tokens) => {
        return alone(() => allWorkers(this.concurrency, () => this.#tasks.run<ProbeReply>({ kind: 'probe', count, tokens })));
      },
    });
  }

  async close(): Promise<void> {
    await this.#tasks.close();
  }
}

/**
 * Waits until every worker has loaded. Piscina has no affinity: a worker that is ready early may take the
 * question meant for one that still loads, so it is asked until each has answered.
 */
async function describeAll(tasks: WorkerTasks, workers: number): Promise<DescribeReply> {
  const known = new Map<number, DescribeReply>();
  while (known.size < workers) {
    for (const reply of await allWorkers(workers - known.size, () => tasks.run<DescribeReply>({ kind: 'describe' }))) {
      known.set(reply.worker, reply);
    }
    if (known.size < workers) await sleep(describePollMs);
  }
  const descriptions = [...known.values()];
  // A fallback of any worker is the pool's: an operator must see it.
  return descriptions.find((description) => description.fallback !== undefined) ?? descriptions[0]!;
}

/**
 * A pool and the tasks it runs. Closing waits for them here: Piscina's own close() counts workers twice and gives
 * up after its timeout, and either way ends a thread that still runs, which aborts the process.
 */
class WorkerTasks {
  readonly #pool: Pool;
  readonly #running = new Set<Promise<WorkerReply>>();
  #closing = false;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async run<Reply extends WorkerReply>(task: WorkerTask): Promise<Reply> {
    if (this.#closing) throw new ServerError('MODEL_NOT_READY', 'The model is being unloaded.');
    const running = this.#pool.run(task) as Promise<WorkerReply>;
    this.#running.add(running);
    let reply: WorkerReply;
    try {
      reply = await running;
    } catch (cause) {
      throw new ServerError('BACKEND_FAILED', undefined, { cause });
    } finally {
      this.#running.delete(running);
    }
    if (!reply.ok) throw new ServerError(reply.code, reply.detail, { cause: reply.cause });
    return reply as Reply;
  }

  /** Takes no more tasks, waits for those that run, then ends the threads. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.allSettled(this.#running);
    await this.#pool.destroy();
  }
}

/** As many tasks at once as there are workers: with one task a worker, each gets one. */
function allWorkers<Reply>(workers: number, task: () => Promise<Reply>): Promise<Reply[]> {
  return Promise.all(Array.from({ length: workers }, task));
}

function workerSettings(manifest: EmbeddingManifest, options: OnnxOptions): WorkerSettings {
  return {
    model: manifest,
    intraOpThreads: options.intraOpThreads,
    spinning: options.intraOpSpinning,
    arena: options.cpuArena,
    devices: options.devices,
    workerCounter: new SharedArrayBuffer(4),
  };
}
