// What the batcher needs of whatever computes: an ONNX pool here, a remote server elsewhere.
import type { EmbedReply, EmbedTask, ModelDescription, RunCost } from './protocol.ts';

/** One loaded model. All methods throw ServerError only. */
export interface Backend {
  /** What the model turned out to be once loaded. */
  readonly description: ModelDescription;
  /** How many tasks run at the same time; the batcher never hands over more. */
  readonly concurrency: number;
  /** What a session run costs on this machine; a guess until `tune` has measured it. */
  readonly runCost: RunCost;
  /**
   * Inputs in one batch at most, for a backend whose batches should be as full as they can: it shares out the work
   * itself. Undefined: batches are bounded by `runCost`, and what waits is divided among `concurrency`.
   */
  readonly batchInputsMax?: number;
  /**
   * Computes one micro-batch. A task that has started is never stopped: native code that loses its
   * thread ends the process.
   * @param deadlineMs by `performance.now()`: nobody waits for the answer after that
   */
  embed(task: EmbedTask, deadlineMs?: number): Promise<EmbedReply>;
  /**
   * Measures `runCost`. Each step, some tens of milliseconds on a CPU, runs inside `alone`, during which the
   * caller hands over no batch.
   */
  tune(alone: <Value>(step: () => Promise<Value>) => Promise<Value>): Promise<void>;
  /** Waits for running tasks, then frees threads and memory. */
  close(): Promise<void>;
}
