// What the batcher needs of whatever computes: an ONNX pool here, a remote server elsewhere.
import type { DescribeReply, EmbedReply, EmbedTask, RunCost } from './protocol.ts';

/** One loaded model. All methods throw ServerError only. */
export interface Backend {
  /** What the model turned out to be once loaded. */
  readonly description: DescribeReply;
  /** How many tasks run at the same time; the batcher never hands over more. */
  readonly concurrency: number;
  /** What a session run costs on this machine; a guess until `tune` has measured it. */
  readonly runCost: RunCost;
  /**
   * Computes one micro-batch. A task that has started is never stopped: native code that loses its
   * thread ends the process.
   */
  embed(task: EmbedTask): Promise<EmbedReply>;
  /**
   * Measures `runCost`. Each step, some tens of milliseconds on a CPU, runs inside `alone`, during which the
   * caller hands over no batch.
   */
  tune(alone: <Value>(step: () => Promise<Value>) => Promise<Value>): Promise<void>;
  /** Waits for running tasks, then frees threads and memory. */
  close(): Promise<void>;
}
