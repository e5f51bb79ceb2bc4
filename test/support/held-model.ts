// A registry with one model on a held backend that flows by itself: surfaces without a model file.
import type { EmbeddingManifest } from '../../src/backend/manifest.ts';
import type { BatchObserver } from '../../src/batch/batcher.ts';
import type { EmbeddingCache } from '../../src/cache/embedding-cache.ts';
import { EmbedEngine } from '../../src/engine/embed.ts';
import { Metrics } from '../../src/metrics.ts';
import { Call, perform, type AnyOperation, type Reply } from '../../src/operation.ts';
import { EmbeddingModel } from '../../src/registry/embedding-model.ts';
import { ModelCache } from '../../src/registry/model-cache.ts';
import { Registry } from '../../src/registry/registry.ts';
import { HeldBackend } from './held-backend.ts';

export const heldManifest: EmbeddingManifest = {
  name: 'org/held',
  onnxFile: '/nowhere/model.onnx',
  tokenizerFile: '/nowhere/tokenizer.json',
  tokenizerConfigFile: undefined,
  inputTokensMax: 256,
  padTokenId: 0,
  lowerCase: false,
  modules: [],
  matryoshkaDimensions: [],
  prompts: { query: 'query: ' },
  defaultPromptName: undefined,
  precision: 'fp32',
  batchable: true,
  protein: false,
};

type HeldOptions = { allowed?: string[]; allowDimensions?: boolean; manifest?: Partial<EmbeddingManifest>; identity?: string; cache?: EmbeddingCache };

/** `open` may replace how the model is opened: later, or not at all. */
export function heldRegistry(allowed: readonly string[], open: (observer: BatchObserver) => Promise<EmbeddingModel>) {
  const metrics = new Metrics('0.0.0');
  const cache = new ModelCache({ modelsMax: 5, idleMsMax: 0, cleanupIntervalMs: 60_000 });
  const registry = new Registry(cache, allowed);
  const model = registry.add({ name: 'org/held', aliases: ['held'], pinned: false, metrics: metrics.model('org/held'), open });
  return { metrics, registry, model };
}

export function heldModel(options: HeldOptions = {}) {
  const backend = new HeldBackend();
  backend.flowing = true;
  const manifest = { ...heldManifest, ...options.manifest };
  const held = heldRegistry(options.allowed ?? [], (observer) => {
    return Promise.resolve(new EmbeddingModel(manifest, backend, 100_000, observer, options.identity ?? 'held'));
  });
  return { ...held, backend, engine: new EmbedEngine(held.registry, options.allowDimensions ?? false, options.cache) };
}

export type Answer = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly reply: Reply; json(): any };

/** One call through the whole life of an operation; `body` is sent as it is when it is a string or bytes. */
export async function callOperation(
  operation: AnyOperation,
  body: unknown,
  init: { headers?: Record<string, string>; parameters?: Record<string, string> } = {},
): Promise<Answer> {
  const bytes = body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body));
  const call = new Call({
    requestId: 'test',
    operation,
    timeoutMs: 5000,
    header: (name) => init.headers?.[name] ?? '',
    ...(init.parameters && { parameters: init.parameters }),
  });
  const { reply } = await perform(operation, bytes, call, { ended: () => {} });
  return {
    status: reply.status,
    headers: reply.headers ?? {},
    reply,
    json: () => JSON.parse(typeof reply.body === 'string' ? reply.body : Buffer.from(reply.body as Uint8Array).toString()),
  };
}
