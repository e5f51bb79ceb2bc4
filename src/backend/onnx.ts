// Runs one model on a Piscina pool of its own: each worker thread owns an ONNX session.
// Piscina has no affinity, so a pool serves one model; closing the pool frees its threads and memory.
// Invariants: no task that has started is aborted, no thread is stopped while it runs.
import { Piscina } from 'piscina';
import { ServerError } from '../errors.ts';
import type { Backend } from './backend.ts';
import type { EmbeddingManifest } from './manifest.ts';
import { measureRunCost } from './probe.ts';
import type { DescribeReply, EmbedReply, EmbedTask, RunCost, WorkerReply, WorkerSettings, WorkerTask } from './protocol.ts';

export type OnnxOptions = {
  readonly workers: number;
  readonly intraOpThreads: number;
  readonly intraOpSpinning: boolean;
  readonly cpuArena: boolean;
  /** 'cpu', 'cuda:0', …; worker i takes entry i modulo the length. */
  readonly devices: readonly string[];
  /** 'auto' measures it at load. */
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
  try {
    const descriptions = await allWorkers(options.workers, () => run<DescribeReply>(pool, { kind: 'describe' }));
    const runCost = await measureRunCost({
      fixedTokensMax: options.runTokensMax,
      inputTokensMax: manifest.inputTokensMax,
      probe: (count, tokens) => allWorkers(options.workers, () => run(pool, { kind: 'probe', count, tokens })),
    });
    return new OnnxBackend(pool, options.workers, worstOf(descriptions), runCost);
  } catch (error) {
    await pool.destroy();
    throw error;
  }
}

class OnnxBackend implements Backend {
  readonly description: DescribeReply;
  readonly concurrency: number;
  readonly runCost: RunCost;
  readonly #pool: Piscina<WorkerTask, WorkerReply>;

  constructor(pool: Piscina<WorkerTask, WorkerReply>, workers: number, description: DescribeReply, runCost: RunCost) {
    this.#pool = pool;
    this.concurrency = workers;
    this.description = description;
    this.runCost = runCost;
  }

  embed(task: EmbedTask): Promise<EmbedReply> {
    return run<EmbedReply>(this.#pool, task);
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}

/** As many tasks at once as there are workers: with one task a worker, each gets one. */
function allWorkers<Reply>(workers: number, task: () => Promise<Reply>): Promise<Reply[]> {
  return Promise.all(Array.from({ length: workers }, task));
}

async function run<Reply extends WorkerReply>(pool: Piscina<WorkerTask, WorkerReply>, task: WorkerTask): Promise<Reply> {
  let reply: WorkerReply;
  try {
    reply = await pool.run(task);
  } catch (cause) {
    throw new ServerError('BACKEND_FAILED', undefined, { cause });
  }
  if (!reply.ok) throw new ServerError(reply.code, reply.detail);
  return reply as Reply;
}

/** A fallback of any worker is the pool's: an operator must see it. */
function worstOf(descriptions: readonly DescribeReply[]): DescribeReply {
  return descriptions.find((description) => description.fallback !== undefined) ?? descriptions[0]!;
}

function workerSettings(manifest: EmbeddingManifest, options: OnnxOptions): WorkerSettings {
  return {
    model: manifest,
    intraOpThreads: options.intraOpThreads,
    spinning: options.intraOpSpinning,
    arena: options.cpuArena,
    devices: options.devices,
  };
}
