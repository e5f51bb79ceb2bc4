// A server's semantic cache in a process of its own, asked over the channel to the test. Argument: URL of Redis.
import { RedisStore } from '../../../src/cache/semantic/redis-store.ts';
import { SemanticCache } from '../../../src/cache/semantic/semantic-cache.ts';
import { countingMetrics, limits, model, partition, put, silent, vectorOf } from './support.ts';

export type ReplicaRequest =
  | { readonly kind: 'put'; readonly question: string }
  | { readonly kind: 'lookup'; readonly question: string }
  | { readonly kind: 'delete'; readonly id: string }
  | { readonly kind: 'ids' }
  | { readonly kind: 'close' };

const store = new RedisStore({ url: process.argv[2]!, log: silent, logLength: 100 });
const cache = await SemanticCache.open({
  model, store, policy: { mode: 'cosine', threshold: 0.9 }, limits, metrics: countingMetrics(), log: silent,
});

process.on('disconnect', () => process.exit());
process.on('message', async ({ number, request }: { number: number; request: ReplicaRequest }) => {
  try {
    process.send!({ number, value: await perform(request) });
  } catch (error) {
    process.send!({ number, error: (error as { code?: string }).code ?? String(error) });
  }
  if (request.kind === 'close') process.disconnect();
});
process.send!({ number: -1, value: 'ready' });

async function perform(request: ReplicaRequest): Promise<unknown> {
  if (request.kind === 'put') return (await put(cache, request.question)).id;
  if (request.kind === 'lookup') {
    const found = await cache.lookup(partition, request.question, async () => vectorOf(request.question));
    return found.hit ? found.tier : 'miss';
  }
  if (request.kind === 'delete') return cache.delete(partition.namespace, { id: request.id });
  if (request.kind === 'ids') return cache.list(partition.namespace, { limit: 1e6 }).entries.map(({ id }) => id);
  return cache.close();
}
