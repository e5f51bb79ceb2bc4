// Bodies of the tensor models' operations, for the checks and the API description.
import Type from 'typebox';
import { compareRunsMax, compareVersionsMax, tensorBatchItemsMax } from '../../limits.ts';

const packed = Type.Object({
  shape: Type.Array(Type.Integer()),
  data: Type.Union([
    Type.Array(Type.Unknown()),
    Type.String({ description: 'base64 of row-major little-endian values' }),
  ]),
  datatype: Type.Optional(Type.String()),
});

/** The fields of the demo compressor stand for any model's: a manifest names its own. */
export const InferenceRequest = Type.Object(
  {
    version: Type.Optional(Type.String({ description: 'As in the path.' })),
    image: Type.Optional(
      Type.Union([Type.Array(Type.Array(Type.Array(Type.Number()))), packed], { description: '[H, W, C], 0 to 1.' }),
    ),
    lidar: Type.Optional(Type.Union([Type.Array(Type.Number()), packed])),
    imu: Type.Optional(Type.Union([Type.Array(Type.Number(), { minItems: 6, maxItems: 6 }), packed])),
    audio: Type.Optional(
      Type.Union([Type.Array(Type.Array(Type.Number())), packed], { description: 'A spectrogram.' }),
    ),
    compression_level: Type.Optional(Type.Number({ minimum: 0.1, maximum: 1, default: 0.8 })),
    target_quality: Type.Optional(Type.Number({ minimum: 0, maximum: 1, default: 0.8 })),
    return_reconstruction: Type.Optional(Type.Boolean({ default: false })),
    return_metrics: Type.Optional(Type.Boolean({ default: true })),
  },
  {
    additionalProperties: true,
    description: "A model's inputs by name: nested lists, or shape with flat or base64 data.",
  },
);

const nested = (depth: number): Type.TSchema => (depth === 0 ? Type.Number() : Type.Array(nested(depth - 1)));

export const InferenceResponse = Type.Object(
  {
    version: Type.String(),
    compressed: Type.Optional(nested(2)),
    temporal_out: Type.Optional(nested(2)),
    predicted: Type.Optional(nested(2)),
    reconstructed_image: Type.Optional(nested(3)),
    metrics: Type.Optional(
      Type.Object(
        {
          compression_ratio: Type.Optional(Type.Number()),
          predicted_quality: Type.Optional(Type.Number()),
          adjusted_compression: Type.Optional(Type.Number()),
        },
        { additionalProperties: true },
      ),
    ),
    compression_ratio: Type.Optional(Type.Number()),
    inference_time_ms: Type.Number(),
    timestamp: Type.String({ description: 'UTC, ISO 8601 without a zone.' }),
  },
  { additionalProperties: true },
);

const requests = Type.Array(InferenceRequest, { minItems: 1, maxItems: tensorBatchItemsMax });

const stream = Type.Optional(
  Type.Boolean({ description: 'Each result as it is done, as server-sent events or lines of JSON by the Accept header.' }),
);

export const BatchRequest = Type.Union([Type.Object({ requests, stream }), requests]);

export const BatchResponse = Type.Object({
  version: Type.String(),
  results: Type.Array(Type.Union([InferenceResponse, Type.Object({ error: Type.Unknown() })])),
  count: Type.Integer(),
  succeeded: Type.Integer(),
  failed: Type.Integer(),
  total_time_ms: Type.Number(),
  timestamp: Type.String(),
});

export const CompareRequestSchema = Type.Object({
  versions: Type.Array(Type.String(), { minItems: 2, maxItems: compareVersionsMax }),
  test_data: Type.Object({}, { additionalProperties: true }),
  metrics: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 16 })),
  runs: Type.Optional(Type.Integer({ minimum: 1, maximum: compareRunsMax, default: 10 })),
});

export const CompareResponse = Type.Object({
  versions: Type.Array(Type.String()),
  results: Type.Array(Type.Object({ version: Type.String(), name: Type.String() }, { additionalProperties: true })),
  comparison: Type.Array(
    Type.Object(
      {
        metric: Type.String(),
        better: Type.Union([Type.String(), Type.Null()]),
        by: Type.Number(),
        by_percent: Type.Number(),
      },
      { additionalProperties: true },
    ),
  ),
  differences: Type.Array(
    Type.Object({
      versions: Type.Array(Type.String()),
      outputs: Type.Array(
        Type.Object({
          output: Type.String(),
          comparable: Type.Boolean(),
          max_abs: Type.Union([Type.Number(), Type.Null()]),
          mean_abs: Type.Union([Type.Number(), Type.Null()]),
        }),
      ),
    }),
  ),
  timestamp: Type.String(),
});

export const ModelResponse = Type.Object(
  {
    version: Type.Union([Type.String(), Type.Null()], { description: 'null for models that have none.' }),
    name: Type.String(),
    status: Type.String({ description: 'absent, loading, ready, draining, failed or stuck' }),
    loaded: Type.Boolean(),
  },
  { additionalProperties: true },
);

export const ModelListResponse = Type.Object({
  models: Type.Array(ModelResponse),
  count: Type.Integer(),
  loaded: Type.Integer(),
});

export const StatsResponse = Type.Object(
  {
    version: Type.String(),
    requests: Type.Integer(),
    failures: Type.Integer(),
    inference_time_ms: Type.Object({ mean: Type.Number(), p50: Type.Number(), p95: Type.Number(), max: Type.Number() }),
  },
  { additionalProperties: true },
);

export const rawModel = Type.String({ format: 'binary', description: 'An ONNX file with all its weights.' });

const version = Type.String({ description: 'Under which it is asked for; new.' });

/** Of an upload whose path tells the version. */
export const PutQuery = Type.Object({
  name: Type.Optional(Type.String({ description: 'Of the model that this is a version of; absent, the version stands alone.' })),
  manifest: Type.Optional(Type.String({ description: 'A manifest.json: fields, defaults, ranges, metrics.' })),
  sha256: Type.Optional(Type.String({ description: 'Of the file, in hex; another file is refused.' })),
});

export const UploadForm = Type.Object({ file: rawModel, version, ...PutQuery.properties });

/** Of an upload without a form. */
export const UploadQuery = Type.Object({ version: Type.Optional(version), ...PutQuery.properties });

export const UploadResponse = Type.Object(
  {
    version: Type.String(),
    name: Type.String(),
    status: Type.String(),
    loaded: Type.Boolean(),
    size_bytes: Type.Integer(),
    sha256: Type.String(),
  },
  { additionalProperties: true },
);
