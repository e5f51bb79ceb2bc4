// What the ProtT5 embedding service tells of itself: its parts, its cache, its model.
import { ServerError } from '../../errors.ts';
import type { AnyOperation, Operation } from '../../operation.ts';
import type { KnownModel, Registry } from '../../registry/registry.ts';
import { detailError } from '../detail-errors.ts';
import { jsonReply } from '../json-reply.ts';
import { round } from './answers.ts';
import { CacheStatsResponse, HealthResponse, ModelInfoResponse } from './schema.ts';

/** What is known of the models of a Triton server. */
export type TritonState = {
  readonly names: readonly string[];
  isUp(name: string): boolean;
  /** How long Triton took to say so. */
  checkMs(name: string): number;
  /** As Triton described it last; undefined before the first time and for what is not there. */
  model(name: string): { readonly batchInputsMax: number; readonly metadata: object; readonly config: object } | undefined;
};

export type CacheSource = {
  /** Of all embedding APIs since the start. */
  stats(): {
    readonly enabled: boolean;
    readonly hits: number;
    readonly misses: number;
    readonly entries: number;
    readonly bytes: number;
    readonly bytesMax: number;
    /** Stored bytes by bytes of float32; 1 where nothing is compressed. */
    readonly compressionRatio: number;
  };
  /** Never rejects, and does not wait long for a Redis that is away. */
  redis(): Promise<{ readonly status: 'off' | 'up' | 'down'; readonly memoryBytes: number | null; readonly keys: number | null }>;
};

type Service = {
  readonly registry: Registry;
  readonly model: () => string | undefined;
  readonly triton: TritonState | undefined;
  readonly cache: CacheSource;
};

/** Throws MODEL_NOT_READY, saying what to configure. */
export function requireModel({ model }: Pick<Service, 'model'>): string {
  const name = model();
  if (name !== undefined) return name;
  const how = 'Set TRITON_URL to a Triton server that has one, or MODEL_PATH or MODEL_DIR to a folder with an ONNX encoder of proteins.';
  throw new ServerError('MODEL_NOT_READY', `This server has no model of proteins. ${how}`);
}

export function statusOperations(group: string, service: Service): AnyOperation[] {
  return [health(group, service), cacheStats(group, service), modelInfo(group, service)];
}

/** A GET that takes nothing. */
function page<Out>(group: string, path: string, operation: Pick<Operation<undefined, Out>, 'summary' | 'scope' | 'responseSchema' | 'run' | 'encode'>) {
  const name = `prott5.${path.replaceAll('/', '_')}`;
  return { name, method: 'GET', path: `/embeddings/${path}`, group, decode: () => undefined, encodeError: detailError, ...operation } satisfies Operation<undefined, Out>;
}

function health(group: string, service: Service): AnyOperation {
  const operation = page(group, 'health', {
    summary: 'Every part of the protein service: 200 when new sequences can be embedded.',
    scope: 'public',
    responseSchema: HealthResponse,
    run: () => service.cache.redis(),
    encode: (redis) => {
      const { triton, cache } = service;
      const name = service.model();
      const model = name === undefined ? 'not configured' : stateOf(service.registry, name);
      const isReady = model === 'ready' || model === 'absent';
      return jsonReply(isReady ? 200 : 503, {
        status: !isReady ? 'unhealthy' : redis.status === 'down' ? 'degraded' : 'healthy',
        timestamp: Date.now() / 1000,
        components: {
          triton: triton === undefined || name === undefined ? { status: 'off' } : { status: triton.isUp(name) ? 'up' : 'down', check_ms: round(triton.checkMs(name), 2) },
          model: { status: model, name: name ?? null },
          redis: { status: redis.status },
          cache: { status: cache.stats().enabled ? 'up' : 'off' },
        },
      });
    },
  });
  return { ...operation, unlimited: true, otherAnswers: { 503: HealthResponse } };
}

function cacheStats(group: string, { cache }: Service): AnyOperation {
  return page(group, 'cache/stats', {
    summary: 'How often vectors were known, and what keeping them costs.',
    scope: 'metrics',
    responseSchema: CacheStatsResponse,
    run: () => cache.redis(),
    encode: (redis) => {
      const { enabled, hits, misses, entries, bytes, bytesMax, compressionRatio } = cache.stats();
      return jsonReply(200, {
        enabled,
        hits,
        misses,
        hit_rate: hits + misses === 0 ? 0 : round(hits / (hits + misses), 4),
        compression_ratio: round(compressionRatio, 4),
        entries,
        memory_bytes: bytes,
        memory_bytes_max: bytesMax,
        redis: { status: redis.status, memory_bytes: redis.memoryBytes, keys: redis.keys },
      });
    },
  });
}

function modelInfo(group: string, service: Service): AnyOperation {
  return page(group, 'model/info', {
    summary: "The model of proteins, with Triton's metadata and configuration where it runs there.",
    scope: 'infer',
    responseSchema: ModelInfoResponse,
    run: async () => {
      const known = service.registry.find(requireModel(service), 'model');
      // What it is shows only once it is loaded; a model of Triton is as it was last.
      if (known.slot.model === undefined) (await known.slot.lease()).release();
      return known;
    },
    encode: (known: KnownModel) => {
      const description = known.slot.model?.backend.description;
      if (description === undefined) throw new ServerError('MODEL_NOT_READY');
      const remote = service.triton?.model(known.name);
      return jsonReply(200, {
        model: known.name,
        embedding_dim: String(description.dimension),
        precision: 'fp32',
        backend: remote === undefined ? 'onnx' : 'triton',
        state: known.state,
        max_batch_size: remote?.batchInputsMax ?? null,
        metadata: remote?.metadata ?? null,
        config: remote?.config ?? null,
      });
    },
  });
}

function stateOf(registry: Registry, name: string): string {
  try {
    return registry.find(name, 'model').state;
  } catch {
    return 'not allowed';
  }
}
