// Answers of the protocol, for the API description.
import Type from 'typebox';

export const ServerMetadata = Type.Object({ name: Type.String(), version: Type.String(), extensions: Type.Array(Type.String()) });

const Tensor = Type.Object({ name: Type.String(), datatype: Type.String(), shape: Type.Array(Type.Integer()) });

export const ModelMetadata = Type.Object({
  name: Type.String(),
  versions: Type.Array(Type.String()),
  platform: Type.String(),
  inputs: Type.Array(Tensor),
  outputs: Type.Array(Tensor),
});

export const ModelReady = Type.Object({ name: Type.String(), ready: Type.Boolean(), error: Type.Optional(Type.String()) });
export const ServerLive = Type.Object({ live: Type.Boolean() });
export const ServerReady = Type.Object({ ready: Type.Boolean() });

export const ModelConfig = Type.Object(
  { name: Type.String(), platform: Type.String(), max_batch_size: Type.Integer() },
  { additionalProperties: true, description: "A model configuration in Triton's form." },
);

export const ModelStatistics = Type.Object({
  model_stats: Type.Array(Type.Object(
    {
      name: Type.String(),
      version: Type.String(),
      inference_count: Type.Integer({ description: 'Items.' }),
      execution_count: Type.Integer({ description: 'Runs.' }),
    },
    { additionalProperties: true, description: 'Durations are in nanoseconds.' },
  )),
});

export const InferenceResponse = Type.Object({
  model_name: Type.String(),
  model_version: Type.String(),
  id: Type.Optional(Type.String()),
  outputs: Type.Array(Type.Object({
    ...Tensor.properties,
    data: Type.Optional(Type.Array(Type.Unknown())),
    parameters: Type.Optional(Type.Object({ binary_data_size: Type.Integer() })),
  })),
});

export const RepositoryIndexRequest = Type.Object({ ready: Type.Optional(Type.Boolean({ description: 'Only models that are loaded.' })) });

export const RepositoryIndex = Type.Array(
  Type.Object({ name: Type.String(), version: Type.String(), state: Type.String(), reason: Type.String() }),
);

export const RepositoryRequest = Type.Object({ parameters: Type.Optional(Type.Record(Type.String(), Type.Unknown())) });

export const Nothing = Type.Object({});
