// A registry with one model on a held backend that flows by itself: surfaces without a model file.
import type { EmbeddingManifest } from '../../src/backend/manifest.ts';
import { EmbedEngine } from '../../src/engine/embed.ts';
import { Metrics } from '../../src/metrics.ts';
import { Call, perform, type AnyOperation, type Reply } from '../../src/operation.ts';
import { Model, Registry } from '../../src/registry/registry.ts';
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
};

export function heldModel(options: { allowed?: string[]; allowDimensions?: boolean; manifest?: Partial<EmbeddingManifest> } = {}) {
  const backend = new HeldBackend();
  backend.flowing = true;
  const metrics = new Metrics('0.0.0');
  const registry = new Registry(options.allowed ?? []);
  const model = new Model({ ...heldManifest, ...options.manifest }, Promise.resolve(backend), metrics.model('org/held'), 100_000);
  registry.add(model, ['held']);
  const engine = new EmbedEngine(registry, options.allowDimensions ?? false);
  return { backend, metrics, registry, engine, model };
}

export type Answer = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly reply: Reply; json(): any };

/** One call through the whole life of an operation; `body` is sent as it is when it is a string. */
export async function callOperation(
  operation: AnyOperation,
  body: unknown,
  init: { headers?: Record<string, string>; parameters?: Record<string, string> } = {},
): Promise<Answer> {
  const bytes = Buffer.from(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body));
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
    json: () => JSON.parse(typeof reply.body === 'string' ? reply.body : Buffer.from(reply.body).toString()),
  };
}
