// Administration of the embedding cache.
import Type from 'typebox';
import type { EmbedInput } from '../../backend/protocol.ts';
import type { EmbeddingCache } from '../../cache/embedding-cache.ts';
import { forget } from '../../engine/forget.ts';
import { ServerError } from '../../errors.ts';
import type { AnyOperation } from '../../operation.ts';
import type { Registry } from '../../registry/registry.ts';
import { bodyChecker, jsonOperation } from '../body.ts';
import { detailError } from '../detail-errors.ts';
import { embedInputs, type InputLimits } from '../inputs.ts';
import { jsonReply } from '../json-reply.ts';

const ForgetBody = Type.Object({
  model: Type.Optional(Type.String({ minLength: 1, description: 'A name of GET /v1/models; absent, of all models.' })),
  input: Type.Optional(Type.Unknown({ description: 'A text, texts, or token ids, as they were asked for; absent, all.' })),
  all: Type.Optional(Type.Literal(true, { description: 'Everything; without a model or an input it must be said.' })),
});
const checkBody = bodyChecker(ForgetBody);

type Forget = { readonly model: string | undefined; readonly inputs: readonly EmbedInput[] | undefined };

export function embeddingCacheOperations(
  cache: EmbeddingCache, registry: Registry, { group, limits }: { group: string; limits: InputLimits },
): AnyOperation[] {
  const operation = jsonOperation<Forget, number>({
    name: 'embeddings.cache.delete',
    method: 'DELETE',
    path: '/embeddings/cache',
    summary: 'Forget vectors: of a model, of texts, or all.',
    group,
    scope: 'admin',
    requestSchema: ForgetBody,
    responseSchema: Type.Object({ deleted: Type.Integer() }),
    decodeBody: (json) => {
      const { model, input, all } = checkBody(json);
      // A body that got lost on the way must not empty the cache.
      if (model === undefined && input === undefined && all === undefined) {
        throw new ServerError('REQUEST_INVALID', "The body must have 'model', 'input' or 'all': true.", { field: 'all' });
      }
      return { model, inputs: input === undefined ? undefined : embedInputs(input, 'input', limits) };
    },
    run: ({ model, inputs }) => forget(registry, cache, { model, inputs, field: 'model' }),
    encode: (deleted) => jsonReply(200, { deleted }),
    encodeError: detailError,
  });
  return [operation];
}
