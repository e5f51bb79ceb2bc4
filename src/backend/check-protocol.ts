// The process boundary of the model check: what backend/model-check.ts and native-workers/model-check.ts say to each other.
import type { DataType, Tensor } from '../tensor/dtypes.ts';
import type { TensorDescription } from './tensor-protocol.ts';

/** Looks at the file, then opens it; answered with a description. */
export type CheckLoad = { readonly kind: 'load'; /** In the child's working directory. */ readonly onnxFile: string };

/** Runs what was opened, once; answered with `ran`. */
export type CheckTrial = {
  readonly kind: 'run';
  readonly inputs: readonly TrialInput[];
  readonly outputs: readonly string[];
};

/** A tensor, or one that the child makes: filled with `fill`, strings empty. */
export type TrialInput = { readonly name: string } & (
  | { readonly tensor: Tensor }
  | { readonly datatype: DataType; readonly shape: readonly number[]; readonly fill: number }
);

export type CheckTask = CheckLoad | CheckTrial;

export type CheckReply =
  | { readonly kind: 'loaded'; readonly description: TensorDescription }
  | { readonly kind: 'ran' }
  /** In words for the uploader; names no path. */
  | { readonly kind: 'refused'; readonly reason: string };

/** What the child is started with, as JSON in its first argument. */
export type CheckSettings = { readonly memoryBytesMax: number; readonly timeMsMax: number };
