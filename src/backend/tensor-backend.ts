// What tensor models need of whatever computes: an ONNX pool here, a remote server elsewhere.
import { ServerError } from '../errors.ts';
import type { NamedTensors, TensorDescription } from './tensor-protocol.ts';

export type TensorRun = {
  /** The backend takes the whole buffers that they lie in; several may lie in one. The caller must not use them afterwards. */
  readonly inputs: NamedTensors;
  readonly outputs: readonly string[];
  /** Asked once, before the run starts: true drops it. What has started goes on. */
  readonly isCancelled: () => boolean;
  /** For a backend that batches: 1 runs first; absent takes the model's default. */
  readonly priority?: number | undefined;
  /** By `performance.now()`: what has not started by then never does, and rejects with TIMEOUT. */
  readonly deadlineMs?: number | undefined;
};

export type TensorResult = {
  /** In the order asked for; the caller's. */
  readonly outputs: NamedTensors;
  readonly queueMs: number;
  readonly runMs: number;
  /** Rows of the run that carried this request, its own and others'; told to one of the requests that shared it. */
  readonly batchRows?: number;
};

/** For a run that waited beyond its own deadline. */
export function queueTimeout(): ServerError {
  return new ServerError('TIMEOUT', 'The request waited longer than its timeout allows.');
}

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
