// What is read of the messages in src/proto/, as proto-loader gives them: fields under their own names, defaults
// filled in, int64 as numbers (shapes and versions are small), enums by name, bytes as buffers.

export type TensorMetadata = { readonly name: string; readonly datatype: string; readonly shape: readonly number[] };

export type ModelMetadata = {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
};

/** `dims` without the batch. */
type ConfigTensor = { readonly name: string; readonly data_type: string; readonly dims: readonly number[] };

export type ModelConfig = {
  readonly name: string;
  readonly platform: string;
  readonly backend: string;
  /** 0: the model takes no batches. */
  readonly max_batch_size: number;
  readonly input: readonly (ConfigTensor & { readonly optional: boolean })[];
  readonly output: readonly ConfigTensor[];
  /** Missing where the model is no ensemble. */
  readonly ensemble_scheduling?: { readonly step: readonly EnsembleStep[] };
  readonly default_model_filename: string;
  readonly parameters: Readonly<Record<string, { readonly string_value: string }>>;
};

export type EnsembleStep = {
  readonly model_name: string;
  readonly model_version: number;
  readonly input_map: Readonly<Record<string, string>>;
  readonly output_map: Readonly<Record<string, string>>;
};

export type InferRequest = {
  readonly model_name: string;
  readonly model_version: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly { readonly name: string }[];
  /** One for each input, in their order. */
  readonly raw_input_contents: readonly Uint8Array[];
};

export type InferResponse = {
  readonly model_version: string;
  readonly outputs: readonly TensorMetadata[];
  /** One for each output, in their order; at any alignment. */
  readonly raw_output_contents: readonly Buffer[];
};
