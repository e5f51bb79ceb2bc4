// Bodies of the OpenAI embeddings and models API (openai-openapi: CreateEmbeddingRequest, Embedding, Model).
import Type, { type Static, type TSchema } from 'typebox';

const tokenIds = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 });

/** OpenAI takes null for what is absent, and proxies send it so. */
const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(Type.Union([schema, Type.Null()]));

/** Unknown fields are ignored: clients add their own through `extra_body`. */
export const EmbeddingsRequest = Type.Object({
  model: Type.String({ minLength: 1, description: 'A name of GET /v1/models.' }),
  input: Type.Union(
    [Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }), tokenIds, Type.Array(tokenIds, { minItems: 1 })],
    { description: 'A text, texts, the token ids of one text, or of several.' },
  ),
  encoding_format: optional(
    Type.Union([Type.Literal('float'), Type.Literal('base64'), Type.Literal('bytes')], {
      description: 'bytes answers raw rows as application/octet-stream, the shape in the header x-embedding-shape.',
    }),
  ),
  embed_dtype: optional(
    Type.Union([Type.Literal('float32'), Type.Literal('float16'), Type.Literal('int8')], {
      description: 'Type of base64 and bytes vectors; int8 is round(127 x).',
    }),
  ),
  dimensions: optional(Type.Integer({ minimum: 1, description: 'Leading values kept, then normalised again.' })),
  stream: optional(
    Type.Boolean({ description: 'Each vector as it is done, as server-sent events or lines of JSON by the Accept header.' }),
  ),
  user: optional(Type.String()),
});
export type EmbeddingsRequest = Static<typeof EmbeddingsRequest>;

/** What is checked by schema; `input` has errors of its own, which say more than "matches no variant". */
export const EmbeddingsEnvelope = Type.Object({
  ...EmbeddingsRequest.properties,
  input: Type.Unknown(),
});

export const EmbeddingsResponse = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(
    Type.Object({
      object: Type.Literal('embedding'),
      index: Type.Integer(),
      embedding: Type.Union([Type.Array(Type.Number()), Type.String()]),
    }),
  ),
  model: Type.String(),
  usage: Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() }),
  truncated: Type.Optional(
    Type.Array(
      Type.Object({ index: Type.Integer(), tokens_given: Type.Integer(), tokens_kept: Type.Integer() }),
      { description: "Inputs beyond the model's length; absent when there are none." },
    ),
  ),
});

export const ModelObject = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer(),
  owned_by: Type.String(),
});

export const ModelList = Type.Object({ object: Type.Literal('list'), data: Type.Array(ModelObject) });
