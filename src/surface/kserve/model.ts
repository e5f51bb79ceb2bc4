// What the protocol asks of a model, whatever kind it is: one type for tensor models and embedding models.
import type { BatchPolicy } from '../../batch/tensor-batch.ts';
import type { NamedTensor } from '../../engine/infer-tensors.ts';
import type { Call } from '../../operation.ts';
import type { InferenceStatistics } from '../../registry/inference-statistics.ts';
import type { KnownModel } from '../../registry/registry.ts';
import type { DataType } from '../../tensor/dtypes.ts';

/** A remote model may be unavailable, too. */
export type ModelState = KnownModel['state'];

export type TensorDescription = {
  readonly name: string;
  readonly datatype: DataType;
  /** With the rows where the model takes several; -1 for any size. */
  readonly shape: readonly number[];
  readonly optional: boolean;
};

export type ModelDescription = {
  readonly platform: string;
  readonly backend: string;
  readonly inputs: readonly TensorDescription[];
  readonly outputs: readonly TensorDescription[];
  /** Rows of one request at most; 0 for a model whose first dimension has no such meaning. */
  readonly rowsMax: number;
  readonly batching: BatchPolicy | undefined;
  readonly instances: number;
  /** 'cpu', 'cuda'. */
  readonly provider: string;
};

export type InferRequest = {
  /** Repeated in the answer; '' for none. */
  readonly id: string;
  /** What the request holds, the model's to keep; or the whole of a body that is the only input. */
  readonly inputs: readonly NamedTensor[] | { readonly raw: Uint8Array };
  readonly outputs: readonly string[] | undefined;
  readonly parameters: Readonly<Record<string, unknown>>;
};

export type InferAnswer = {
  readonly model: string;
  readonly version: string;
  readonly id: string;
  /** Read, never written. */
  readonly outputs: readonly NamedTensor[];
};

/** One version of a model. Looking at it never loads it; all methods throw ServerError. */
export type KserveModel = {
  readonly name: string;
  readonly version: string;
  /** All versions of that name, lowest first. */
  readonly versions: readonly string[];
  readonly state: ModelState;
  /** Why the last load failed; undefined when it did not. */
  readonly failure: string | undefined;
  readonly statistics: InferenceStatistics;
  /** Loads it if need be: only a loaded model knows. */
  describe(): Promise<ModelDescription>;
  /** Loads it if need be. */
  infer(request: InferRequest, call: Call): Promise<InferAnswer>;
  load(): Promise<void>;
  /** Starts to unload and does not wait for what still runs. */
  unload(): void;
};
