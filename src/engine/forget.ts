// Takes vectors out of the embedding cache, by what clients know: models' names and texts.
import type { EmbedInput } from '../backend/protocol.ts';
import type { EmbeddingCache } from '../cache/embedding-cache.ts';
import { ServerError } from '../errors.ts';
import type { Registry } from '../registry/registry.ts';

export type ForgetRequest = {
  /** Undefined for all models. */
  readonly model: string | undefined;
  /** Undefined for all inputs. */
  readonly inputs: readonly EmbedInput[] | undefined;
  readonly field: string;
};

/**
 * How many vectors there were, whatever prompt, dimensions or normalisation they were asked with. Loads the model
 * when nobody has: only its files say what it is. Throws as the registry does, and BACKEND_FAILED without Redis.
 */
export async function forget(registry: Registry, cache: EmbeddingCache, request: ForgetRequest): Promise<number> {
  const { model, inputs, field } = request;
  const identity = model === undefined ? undefined : await identityOf(registry, model, field);
  let count = 0;
  try {
    for (const input of inputs ?? [undefined]) count += await cache.delete({ identity, input });
  } catch (cause) {
    const detail = 'Redis does not answer: what it has is still there. Vectors in this process are gone.';
    throw new ServerError('BACKEND_FAILED', detail, { cause });
  }
  return count;
}

async function identityOf(registry: Registry, model: string, field: string): Promise<string> {
  const lease = await registry.find(model, field).slot.lease();
  try {
    return lease.model.identity;
  } finally {
    lease.release();
  }
}
