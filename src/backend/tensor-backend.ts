// What tensor models need of whatever computes: an ONNX pool here, a remote server elsewhere.
import type { NamedTensors, TensorDescription } from './tensor-protocol.ts';

export type TensorRun = {
  /** The backend takes their memory: no two share a buffer, and the caller must not use it afterwards. */
  readonly inputs: NamedTensors;
  readonly outputs: readonly string[];
  /** Asked once, before the run starts: true drops it. What has started goes on. */
  readonly isCancelled: () => boolean;
};

export type TensorResult = {
  /** In the order asked for; the caller's. */
  readonly outputs: NamedTensors;
  readonly queueMs: number;
  readonly runMs: number;
};

/** One loaded tensor model. All methods throw ServerError only. */
export interface TensorBackend {
  /** What the graph turned out to be once loaded. */
  readonly description: TensorDescription;
  /** How many runs go on at the same time. */
  readonly concurrency: number;
  /** Runs that wait or go on. */
  readonly pending: number;
  /** Throws QUEUE_FULL, CANCELLED when it was dropped before it ran, BACKEND_FAILED. */
  run(run: TensorRun): Promise<TensorResult>;
  /** Takes no more runs, waits for those it has, then frees threads and memory. */
  close(): Promise<void>;
}
