// Bodies of the ProtT5 embedding service (seed 000).
import Type from 'typebox';

export const ComputeRequest = Type.Object({
  sequences: Type.Array(Type.String({ minLength: 1 }), {
    minItems: 1, description: 'Amino acids in one letter; white space and a closing stop are taken off, U, Z, O and B are read as X.',
  }),
  batch_size: Type.Optional(Type.Integer({ minimum: 1, maximum: 1024, description: "Most sequences that run together; the model's own bound where that is lower." })),
  use_cache: Type.Optional(Type.Boolean({ default: true })),
  per_residue: Type.Optional(Type.Boolean({ default: false, description: 'One vector a residue, for models that give them.' })),
  model: Type.Optional(Type.String({ minLength: 1, description: 'Another model of proteins than the first.' })),
  encoding_format: Type.Optional(
    Type.Union([Type.Literal('float'), Type.Literal('base64'), Type.Literal('bytes')], {
      description: 'bytes answers raw rows as application/octet-stream, one for each item of sequences.',
    }),
  ),
  embed_dtype: Type.Optional(Type.Union([Type.Literal('float32'), Type.Literal('float16'), Type.Literal('int8')])),
});

/** `sequences` may be huge: its items are checked by the surface, which names the one at fault. */
export const ComputeEnvelope = Type.Object({ ...ComputeRequest.properties, sequences: Type.Array(Type.Unknown()) });

const milliseconds = Type.Number({ description: 'Milliseconds.' });
const ratio = Type.Number({ description: 'Stored bytes by bytes of float32, of all that was written since the start; 1 where nothing is compressed.' });

export const ComputeResponse = Type.Object({
  embeddings: Type.Record(Type.String(), Type.Union([Type.Array(Type.Number()), Type.String({ description: 'base64' })]), {
    description: 'By sequence as it was written, in the order of the request; equal ones once.',
  }),
  cache_stats: Type.Object({ hit_rate: Type.Number({ description: "Of this request's distinct sequences." }), compression_ratio: ratio }),
  timing: Type.Object({
    total_ms: milliseconds,
    cache_ms: milliseconds,
    triton_ms: milliseconds,
    cache_hits: Type.Integer(),
    triton_calls: Type.Integer({ description: 'Batches that carried new sequences of this request.' }),
  }),
  model_info: Type.Object({ model: Type.String(), embedding_dim: Type.String(), precision: Type.Literal('fp32') }),
});

const status = Type.Union([Type.Literal('healthy'), Type.Literal('degraded'), Type.Literal('unhealthy')]);

export const HealthResponse = Type.Object({
  status,
  timestamp: Type.Number(),
  components: Type.Object({
    triton: Type.Object({ status: Type.String(), check_ms: Type.Optional(milliseconds) }),
    model: Type.Object({ status: Type.String(), name: Type.Union([Type.String(), Type.Null()]) }),
    redis: Type.Object({ status: Type.String() }),
    cache: Type.Object({ status: Type.String() }),
  }),
});

const countOrNull = Type.Union([Type.Integer(), Type.Null()]);

export const CacheStatsResponse = Type.Object({
  enabled: Type.Boolean(),
  hits: Type.Integer({ description: 'Of all embedding APIs since the start.' }),
  misses: Type.Integer(),
  hit_rate: Type.Number(),
  compression_ratio: ratio,
  entries: Type.Integer({ description: 'In the memory of this process.' }),
  memory_bytes: Type.Integer(),
  memory_bytes_max: Type.Integer(),
  redis: Type.Object({
    status: Type.String({ description: 'off, up or down.' }),
    memory_bytes: Type.Union([Type.Integer(), Type.Null()], { description: 'Of all its users.' }),
    keys: countOrNull,
  }),
});

export const ModelInfoResponse = Type.Object({
  model: Type.String(),
  embedding_dim: Type.String(),
  precision: Type.Literal('fp32'),
  backend: Type.String(),
  state: Type.String(),
  max_batch_size: countOrNull,
  metadata: Type.Unknown({ description: "Triton's ModelMetadata." }),
  config: Type.Unknown({ description: "Triton's ModelConfig." }),
});
