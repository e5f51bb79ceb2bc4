// Bodies of the FastEmbed-style API (seed 001).
import Type from 'typebox';

const formatFields = {
  encoding_format: Type.Optional(
    Type.Union([Type.Literal('float'), Type.Literal('base64'), Type.Literal('bytes')], {
      description: 'bytes answers raw rows as application/octet-stream, the shape in the header x-embedding-shape.',
    }),
  ),
  embed_dtype: Type.Optional(Type.Union([Type.Literal('float32'), Type.Literal('float16'), Type.Literal('int8')])),
};

export const EmbedOneRequest = Type.Object({
  model_name: Type.String({ minLength: 1 }),
  text: Type.String({ minLength: 1 }),
  ...formatFields,
});

export const EmbedBatchRequest = Type.Object({
  model_name: Type.String({ minLength: 1 }),
  texts: Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
  ...formatFields,
  stream: Type.Optional(
    Type.Boolean({ description: 'Each vector as it is done, as server-sent events or lines of JSON by the Accept header.' }),
  ),
});

/** `texts` may be huge: its items are checked by the surface, which names the one at fault. */
export const EmbedBatchEnvelope = Type.Object({ ...EmbedBatchRequest.properties, texts: Type.Array(Type.Unknown()) });
export const EmbedOneEnvelope = Type.Object({ ...EmbedOneRequest.properties, text: Type.String() });

const vector = Type.Union([Type.Array(Type.Number()), Type.String({ description: 'base64' })]);
const common = {
  model_name: Type.String(),
  dimension: Type.Integer(),
  processing_time: Type.Number({ description: 'Milliseconds.' }),
  truncated: Type.Optional(
    Type.Array(Type.Object({ index: Type.Integer(), tokens_given: Type.Integer(), tokens_kept: Type.Integer() })),
  ),
};

export const EmbedOneResponse = Type.Object({ embedding: vector, ...common });
export const EmbedBatchResponse = Type.Object({ embeddings: Type.Array(vector), count: Type.Integer(), ...common });
