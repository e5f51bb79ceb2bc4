// The thread boundary of tensor models: what the main thread and native-workers/tensor-worker.ts say to each other.
// Errors cross as data, since structured clone loses an error's class and code.
import type { DataType, Tensor } from '../tensor/dtypes.ts';
import type { Dimension } from '../tensor/shapes.ts';
import type { Failure, PoolSettings, SessionOptions } from './protocol.ts';

/** By name; pairs, since any string can be a name, `__proto__` too. */
export type NamedTensors = readonly (readonly [name: string, tensor: Tensor])[];

/** One run. The buffers that the inputs lie in are transferred whole; the caller keeps none of them. */
export type TensorTask = {
  readonly kind: 'run';
  readonly inputs: NamedTensors;
  /** The graph's outputs to give back; others are not copied. */
  readonly outputs: readonly string[];
};

/** Tells what the worker loaded, or why it could not: a failed load is a value, never a thrown error. */
export type TensorDescribeTask = { readonly kind: 'describe' };

export type TensorWorkerTask = TensorTask | TensorDescribeTask;

export type TensorReply = {
  readonly ok: true;
  /** In the order of the task's `outputs`. Transferred. */
  readonly outputs: NamedTensors;
  readonly runMs: number;
};

/** An input or output as the graph declares it. */
export type TensorInfo = {
  readonly name: string;
  readonly datatype: DataType;
  /** Empty for a single value, and for a graph that does not tell. */
  readonly shape: readonly Dimension[];
};

export type TensorDescription = {
  readonly ok: true;
  /** Which of the pool's workers answers: 0 and up, in the order they started. */
  readonly worker: number;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** The execution provider the session runs on: 'cpu', 'cuda'. */
  readonly provider: string;
  /** Why a wanted device was not used; undefined when it was. */
  readonly fallback: string | undefined;
  readonly loadMs: number;
};

export type TensorWorkerReply = TensorReply | TensorDescription | Failure;

/** What a worker is started with (Piscina `workerData`). */
export type TensorWorkerSettings = PoolSettings & SessionOptions & {
  /** Absolute; never shown to a client. */
  readonly onnxFile: string;
};
