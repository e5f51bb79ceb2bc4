// What all services share: the front page, probes, totals and metrics (unions of the seeds' fields).
import type { Metrics } from '../../metrics.ts';
import type { AnyOperation, Call, Operation, Reply } from '../../operation.ts';
import type { ModelCache } from '../../registry/model-cache.ts';
import type { KnownModel, Registry } from '../../registry/registry.ts';
import type { TensorEntry } from '../../registry/tensor-models.ts';
import { detailError } from '../detail-errors.ts';
import { jsonReply } from '../json-reply.ts';
import { frontPage } from './front-page.ts';
import { HealthResponse, LiveResponse, MetricsResponse, ReadyResponse, RootResponse, StatsResponse } from './schema.ts';

export const systemGroup = 'System';

export type SystemState = {
  readonly version: string;
  readonly registry: Registry;
  readonly metrics: Metrics;
  /** The tensor models it knows of. */
  readonly tensors: () => readonly Pick<TensorEntry, 'files' | 'state' | 'slot'>[];
  readonly cache: Pick<ModelCache, 'loadedCount' | 'evictions' | 'options'>;
  /** False once the server drains. */
  readonly accepting: () => boolean;
  /** True until each model of the start answers or has failed. */
  readonly starting: () => boolean;
  /** Models that do not come back from a run; the process is about to be replaced. */
  readonly stuck?: () => readonly string[];
};

export function systemOperations(state: SystemState, metricsEnabled: boolean): AnyOperation[] {
  return [root(state), health(state), live(), ready(state), stats(state), ...(metricsEnabled ? [metrics(state.metrics)] : [])];
}

/** A GET that takes nothing and is outside the rate limit: probes and scrapes must never be refused. */
function page<Out>(path: string, name: string, summary: string, run: () => Promise<Out> | Out, encode: (output: Out, call: Call) => Reply) {
  return {
    name: `system.${name}`,
    method: 'GET',
    path,
    summary,
    group: systemGroup,
    scope: name === 'stats' || name === 'metrics' ? 'metrics' : 'public',
    unlimited: true,
    decode: () => undefined,
    run,
    encode,
    encodeError: detailError,
  } satisfies Operation<undefined, Out>;
}

function root(state: SystemState): AnyOperation {
  const links = { documentation: '/docs', openapi: '/openapi.json', health: '/health', models: '/v1/models', metrics: '/metrics' };
  const encode = (_: undefined, call: Call): Reply => {
    if (call.header('accept').includes('text/html')) return frontPage(state);
    return jsonReply(200, { name: 'ortserve', service: 'ortserve', version: state.version, status: 'running', ...links });
  };
  const operation = page('/', 'root', 'What this server is: a page for a browser, JSON for a program.', () => undefined, encode);
  return { ...operation, binaryTypes: ['text/html'], responseSchema: RootResponse };
}

function health(state: SystemState): AnyOperation {
  const encode = (): Reply => {
    const models = state.registry.list();
    const tensors = state.tensors();
    const failed = [
      ...models.filter((model) => model.state === 'failed').map(({ name }) => name),
      ...tensors.filter((entry) => entry.state === 'failed').map(({ files }) => `${files.name}:${files.version}`),
    ];
    const stuck = state.stuck?.() ?? [];
    const down = !state.accepting() || stuck.length > 0 || !models.some(answers);
    return jsonReply(down ? 503 : 200, {
      status: down ? 'unhealthy' : models.every(answers) && failed.length === 0 ? 'healthy' : 'degraded',
      timestamp: Date.now() / 1000,
      version: state.version,
      uptime_seconds: state.metrics.totals().uptimeSeconds,
      failed,
      models: models.map(modelHealth),
      tensor_models: tensors.map(({ files: { name, version }, state, slot }) => ({ name, version, state, ...failure(slot) })),
      model_cache: {
        loaded: state.cache.loadedCount,
        max: state.cache.options.modelsMax,
        evictions: state.cache.evictions,
        idle_seconds_max: state.cache.options.idleMsMax / 1000,
      },
      ...(stuck.length > 0 && { stuck }),
      memory: { rss_bytes: process.memoryUsage.rss() },
    });
  };
  const operation = page('/health', 'health', 'Every part in detail; never wakes a model.', () => undefined, encode);
  return { ...operation, responseSchema: HealthResponse, otherAnswers: { 503: HealthResponse } };
}

/** Idle models leave and come back on demand: only a first load that is not over yet is a reason to wait. */
function answers({ state, manifest }: KnownModel): boolean {
  return state === 'loading' ? manifest !== undefined : state !== 'failed' && state !== 'unavailable' && state !== 'stuck';
}

function modelHealth(model: KnownModel): object {
  const description = model.slot.model?.backend.description;
  const { state, queuedInputs, queuedTokens, runningBatches } = model.gauges;
  return {
    name: model.name,
    state,
    ...failure(model.slot),
    ...(description && { dimension: description.dimension, device: description.provider, load_ms: Math.round(description.loadMs) }),
    queued_inputs: queuedInputs,
    queued_tokens: queuedTokens,
    running_batches: runningBatches,
  };
}

function failure(slot: { readonly state: string; readonly failure: Error | undefined }): { error?: string } {
  return slot.state === 'failed' && slot.failure !== undefined ? { error: slot.failure.message } : {};
}

function live(): AnyOperation {
  const operation = page('/livez', 'livez', 'The event loop runs.', () => undefined, () => jsonReply(200, { status: 'alive' }));
  return { ...operation, responseSchema: LiveResponse };
}

function ready(state: SystemState): AnyOperation {
  const encode = (): Reply => {
    const stuck = state.stuck?.() ?? [];
    if (stuck.length > 0) return jsonReply(503, { status: 'stuck', models: stuck });
    if (!state.accepting()) return jsonReply(503, { status: 'draining' });
    const models = state.registry.list();
    const waiting = models.filter((model) => !answers(model)).map((model) => model.name);
    if (state.starting()) return jsonReply(503, { status: 'loading', waiting });
    if (waiting.length === models.length) return jsonReply(503, { status: 'failed', waiting });
    return jsonReply(200, { status: 'ready', ...(waiting.length > 0 && { waiting }) });
  };
  const summary = '200 once a model answers and none of the start still loads, and until the server drains.';
  const operation = page('/readyz', 'readyz', summary, () => undefined, encode);
  return { ...operation, responseSchema: ReadyResponse, otherAnswers: { 503: ReadyResponse } };
}

/** What /readyz says, for other protocols. */
export function isReady({ accepting, starting, registry }: Pick<SystemState, 'accepting' | 'starting' | 'registry'>): boolean {
  return accepting() && !starting() && registry.list().some(answers);
}

function stats(state: SystemState): AnyOperation {
  const encode = (): Reply => {
    const totals = state.metrics.totals();
    return jsonReply(200, {
      uptime_seconds: totals.uptimeSeconds,
      total_requests: totals.requests,
      total_errors: totals.errors,
      total_embeddings: totals.embeddings,
      models: state.registry.list().map((model) => ({
        ...modelHealth(model),
        embeddings: totals.embeddingsByModel.find(([name]) => name === model.name)?.[1] ?? 0,
      })),
    });
  };
  const operation = page('/stats', 'stats', 'Totals since the start.', () => undefined, encode);
  return { ...operation, responseSchema: StatsResponse };
}

function metrics(metrics: Metrics): AnyOperation {
  const encode = (text: string, call: Call): Reply => {
    if (!acceptsJson(call)) return { status: 200, contentType: metrics.registry.contentType, body: text };
    const totals = metrics.totals();
    return jsonReply(200, {
      total_requests: totals.requests,
      total_embeddings: totals.embeddings,
      total_errors: totals.errors,
      uptime_seconds: totals.uptimeSeconds,
      model_usage: Object.fromEntries(totals.embeddingsByModel),
    });
  };
  const operation = page('/metrics', 'metrics', 'Prometheus text, or totals as JSON on Accept: application/json.', () => metrics.registry.metrics(), encode);
  return { ...operation, binaryTypes: ['text/plain'], responseSchema: MetricsResponse };
}

function acceptsJson(call: Call): boolean {
  const accept = call.header('accept');
  return accept.includes('application/json') && !accept.includes('text/plain') && !accept.includes('openmetrics');
}
