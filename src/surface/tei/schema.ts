// Bodies of text-embeddings-inference's /embed (its router/src/http/types.rs).
import Type from 'typebox';

const tokenIds = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 });

const options = {
  model: Type.Optional(Type.String({ minLength: 1, description: 'Not in the original, which has one model.' })),
  truncate: Type.Optional(Type.Union([Type.Boolean(), Type.Null()], { description: 'false refuses inputs that are too long.' })),
  truncation_direction: Type.Optional(Type.Union([Type.Literal('Left'), Type.Literal('Right'), Type.Literal('left'), Type.Literal('right')])),
  prompt_name: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  normalize: Type.Optional(Type.Boolean()),
  dimensions: Type.Optional(Type.Union([Type.Integer({ minimum: 1 }), Type.Null()])),
  encoding_format: Type.Optional(Type.Union([Type.Literal('float'), Type.Literal('bytes')])),
  embed_dtype: Type.Optional(Type.Union([Type.Literal('float32'), Type.Literal('float16'), Type.Literal('int8')])),
};

export const TeiEmbedRequest = Type.Object({
  inputs: Type.Union([
    Type.String({ minLength: 1 }),
    Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
    tokenIds,
    Type.Array(tokenIds, { minItems: 1 }),
  ]),
  ...options,
});

/** `inputs` has errors of its own. */
export const TeiEmbedEnvelope = Type.Object({ inputs: Type.Unknown(), ...options });

export const TeiEmbedResponse = Type.Array(Type.Array(Type.Number()));
