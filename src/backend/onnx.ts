// Runs one embedding model in the workers of a pool: each thread owns an ONNX session.
import type { Backend } from './backend.ts';
import type { EmbeddingManifest } from './manifest.ts';
import { measureRunCost, runCostStart } from './probe.ts';
import type { DescribeReply, EmbedReply, EmbedTask, PoolSettings, ProbeReply } from './protocol.ts';
import type { RunCost, SessionOptions, WorkerSettings, WorkerTask } from './protocol.ts';
import { openWorkerPool, type OpenedPool, type Patience, type WorkerPool } from './worker-pool.ts';

export type OnnxOptions = SessionOptions & {
  readonly workers: number;
  /** 'auto' measures it. */
  readonly runTokensMax: 'auto' | number;
  readonly patience?: Patience | undefined;
};

/**
 * Opens the model in every worker and returns once all answer. A model that cannot be opened rejects with
 * the worker's reason and leaves no thread behind.
 * @param onCrash told when a worker dies between tasks; another one takes its place.
 */
export async function openOnnxBackend(
  manifest: EmbeddingManifest,
  options: OnnxOptions,
  onCrash: (error: Error) => void,
): Promise<Backend> {
  const { workers, runTokensMax, patience, ...session } = options;
  const settings: Omit<WorkerSettings, keyof PoolSettings> = { model: manifest, ...session };
  const entry = new URL('../../native-workers/embedding-worker.js', import.meta.url);
  const pool = { entry, workers, settings, onCrash, patience };
  return new OnnxBackend(await openWorkerPool(pool, { kind: 'describe' }), runTokensMax);
}

class OnnxBackend implements Backend {
  readonly description: DescribeReply;
  readonly concurrency: number;
  readonly #pool: WorkerPool<WorkerTask>;
  readonly #runTokensMax: 'auto' | number;
  #runCost: RunCost;

  constructor({ pool, description }: OpenedPool<WorkerTask, DescribeReply>, runTokensMax: 'auto' | number) {
    this.#pool = pool;
    this.#runTokensMax = runTokensMax;
    this.#runCost = runTokensMax === 'auto' ? runCostStart : { ...runCostStart, tokensMax: runTokensMax };
    this.concurrency = pool.workers;
    this.description = description;
  }

  get runCost(): RunCost {
    return this.#runCost;
  }

  embed(task: EmbedTask): Promise<EmbedReply> {
    return this.#pool.run<EmbedReply>(task);
  }

  async tune(alone: <Value>(step: () => Promise<Value>) => Promise<Value>): Promise<void> {
    this.#runCost = await measureRunCost({
      fixedTokensMax: this.#runTokensMax,
      inputTokensMax: this.description.inputTokensMax,
      probe: (count, tokens) => {
        return alone(() => this.#pool.runInAll<ProbeReply>({ kind: 'probe', count, tokens }));
      },
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}
