// Runs one embedding model in the workers of a pool: each thread owns an ONNX session.
import type { Backend } from './backend.ts';
import type { EmbeddingManifest } from './manifest.ts';
import { measureRunCost, runCostStart } from './probe.ts';
import type { DescribeReply, EmbedReply, EmbedTask, PoolSettings, ProbeReply } from './protocol.ts';
import type { RunCost, WorkerSettings, WorkerTask } from './protocol.ts';
import { openWorkerPool, type OpenedPool, type Patience, type WorkerPool } from './worker-pool.ts';

export type OnnxOptions = {
  readonly workers: number;
  readonly intraOpThreads: number;
  readonly intraOpSpinning: boolean;
  readonly cpuArena: boolean;
  /** 'cpu', 'cuda:0', …; worker i takes entry i modulo the length. */
  readonly devices: readonly string[];
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
  const settings: Omit<WorkerSettings, keyof PoolSettings> = {
    model: manifest,
    intraOpThreads: options.intraOpThreads,
    spinning: options.intraOpSpinning,
    arena: options.cpuArena,
    devices: options.devices,
  };
  const entry = new URL('../../native-workers/embedding-worker.js', import.meta.url);
  const pool = { entry, workers: options.workers, settings, onCrash, patience: options.patience };
  return new OnnxBackend(await openWorkerPool(pool, { kind: 'describe' }), options);
}

class OnnxBackend implements Backend {
  readonly description: DescribeReply;
  readonly concurrency: number;
  readonly #pool: WorkerPool<WorkerTask>;
  readonly #runTokensMax: 'auto' | number;
  #runCost: RunCost;

  constructor({ pool, description }: OpenedPool<WorkerTask, DescribeReply>, options: OnnxOptions) {
    this.#pool = pool;
    this.#runTokensMax = options.runTokensMax;
    this.#runCost = options.runTokensMax === 'auto' ? runCostStart : { ...runCostStart, tokensMax: options.runTokensMax };
    this.concurrency = options.workers;
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
      packs: this.description.packs,
      probe: (count, tokens) => {
        return alone(() => this.#pool.runInAll<ProbeReply>({ kind: 'probe', count, tokens }));
      },
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }
}
