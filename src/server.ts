// The composition root: builds every part in the order of the line and ends them in the reverse.
import { join } from 'node:path';
import { authorizer, isLoopback } from './access/access.ts';
import { KeyFile } from './access/key-file.ts';
import { keyOfEverything, type ApiKey } from './access/keys.ts';
import { openEmbeddingCache } from './assembly/caches.ts';
import type { Redis } from './cache/redis-connection.ts';
import type { Config } from './config.ts';
import { EmbedEngine } from './engine/embed.ts';
import { kserveParts } from './assembly/kserve.ts';
import { requestLog, type Log } from './log.ts';
import { History } from './history/history.ts';
import { historyCloseMsMax } from './limits.ts';
import { Metrics } from './metrics.ts';
import type { AnyOperation, CallObserver } from './operation.ts';
import { embeddingModels, modelCache, modelFacts, tensorModels, withoutRevisions } from './assembly/models.ts';
import { openAnswers } from './assembly/answers.ts';
import { Recovery } from './registry/recovery.ts';
import { Registry } from './registry/registry.ts';
import { DetailError, detailError } from './surface/detail-errors.ts';
import { docsOperations } from './surface/docs/operations.ts';
import { chooseByField } from './surface/embed-choice.ts';
import { embeddingCacheOperations } from './surface/embedding-cache/operations.ts';
import { embedBatch, embedOne, fastembedGroup } from './surface/fastembed/operations.ts';
import { OpenaiError, openaiError } from './surface/openai/errors.ts';
import { embeddingModelList } from './surface/fastembed/models.ts';
import { KserveError, kserveError, kserveGroup } from './surface/kserve/errors.ts';
import { historyOperations, tensorGroup } from './surface/history/operations.ts';
import { openaiGroup, openaiOperations } from './surface/openai/operations.ts';
import { prott5Group } from './surface/prott5/operations.ts';
import { cacheGroup } from './surface/query/operations.ts';
import { socketOperation } from './surface/stream/operations.ts';
import { isReady, systemGroup, systemOperations } from './surface/system/operations.ts';
import { tensorOperations } from './surface/tensors/operations.ts';
import { TeiError, teiStatuses } from './surface/tei/errors.ts';
import { teiEmbed, teiGroup } from './surface/tei/operations.ts';
import { serveHttp } from './transport/http.ts';
import { loadUws } from './transport/listen.ts';
import type { RateLimiter } from './transport/rate-limit.ts';
import { prott5 } from './assembly/prott5.ts';
import { SocketServer } from './transport/websocket.ts';
import type { TritonModels } from './assembly/triton.ts';
import { StuckModels } from './assembly/stuck.ts';
import { openUploads } from './assembly/uploads.ts';
import { packageVersion } from './version.ts';

/** A running server. */
export type Server = {
  /** The port it listens on: the configured one, or the free one that was taken for 0. */
  readonly port: number;
  /** Resolves once each model of the start answers or has failed; rejects with the first one's reason when all have. */
  ready(): Promise<void>;
  /** Models that do not come back from a run. The others answer on, until the process is replaced. */
  readonly stuck: Pick<StuckModels, 'names' | 'any'>;
  /**
   * Ends it without losing an accepted request: unready at once, then (after `drainDelayMs`) no new
   * connections, running calls finish, threads end. Never stops a thread that runs.
   */
  close(): Promise<void>;
};

/**
 * Starts to listen, then loads the model: probes answer at once, requests wait for the load. Throws
 * ManifestError for a model folder that makes no sense and ListenError for a port that cannot be had, and then leaves
 * nothing open that would keep the process.
 */
export async function startServer(config: Config, log: Log): Promise<Server> {
  const opened: (() => unknown)[] = [];
  try {
    return await start(config, log, opened);
  } catch (error) {
    await Promise.allSettled(opened.map((close) => close()));
    throw error;
  }
}

/** @param opened gets the end of each part that must be ended should a later one fail */
async function start(config: Config, log: Log, opened: (() => unknown)[]): Promise<Server> {
  const version = packageVersion();
  const metrics = new Metrics(version);
  const cache = modelCache(config, metrics, log);
  const registry = new Registry(cache, withoutRevisions(config.allowedModels));
  const stuck = new StuckModels(metrics, log);
  const tensors = tensorModels(config, cache, metrics, log, stuck.add);
  const uploads = openUploads(config, tensors, registry, metrics, log);
  const history = config.historyEnabled ? newHistory(config, metrics, log) : undefined;
  const { atStart, onDemand, protein } = embeddingModels(config, metrics, log, stuck.add);
  const embeddingCache = await openEmbeddingCache(config, metrics, log);
  opened.push(() => embeddingCache?.close());
  const engine = new EmbedEngine(registry, config.allowDimensions, embeddingCache);
  const openTriton = config.tritonUrl === undefined ? undefined : await tritonOpener(config.tritonUrl, config, metrics, log);
  let triton: TritonModels | undefined;
  const answers = await openAnswers(config, { engine, metrics, log, defaultModel: atStart[0]!.name });
  opened.push(() => answers.close());
  let accepting = true;
  let starting = true;
  const kserve = kserveParts(config, { version, registry, tensors, engine, history, accepting: () => accepting, starting: () => starting });
  const connect = socketOperation(systemGroup);

  const operations: AnyOperation[] = [
    ...openaiOperations(
      engine, registry, { inputsMax: config.openaiInputsMax, charsMax: config.inputCharsMax },
      embeddingCache !== undefined && config.embeddingCacheBytesMax > 0,
    ),
    ...(embeddingCache === undefined ? [] : embeddingCacheOperations(embeddingCache, registry, {
      group: systemGroup, limits: { inputsMax: config.openaiInputsMax, charsMax: config.inputCharsMax },
    })),
    ...embedOperations(engine, atStart[0]!.name, config),
    ...prott5({ config, engine, registry, cache: embeddingCache, triton: () => triton, local: protein }),
    ...tensorOperations({
      models: tensors,
      otherModels: embeddingModelList(registry),
      ...(history && { record: (entry) => history.record(entry) }),
      ...(uploads && { uploads }),
    }),
    ...(history === undefined ? [] : historyOperations(history)),
    ...answers.operations,
    ...kserve.operations,
    connect,
    ...systemOperations(
      { version, registry, metrics, cache, tensors: () => tensors.known, accepting: () => accepting, starting: () => starting, stuck: () => stuck.names },
      config.metricsEnabled,
    ),
  ];
  const errorSchemas = { [openaiGroup]: OpenaiError, [fastembedGroup]: DetailError, [teiGroup]: TeiError, [systemGroup]: DetailError, [tensorGroup]: DetailError, [prott5Group]: DetailError, [cacheGroup]: DetailError, [kserveGroup]: KserveError };
  const info = { title: 'ortserve', version, errorSchemas, errorStatuses: { [teiGroup]: teiStatuses } };
  operations.push(...docsOperations({ info, operations: () => operations, group: systemGroup, encodeError: detailError }));

  const access = openKeys(config, log);
  const redis = config.rateLimitEnabled ? await connectLimiterRedis(config, log) : undefined;
  opened.push(() => redis?.disconnect());
  const uws = await loadUws();
  const rules = {
    requestTimeoutMs: config.requestTimeoutMs,
    requestBytesMax: config.requestBytesMax,
    cors: { enabled: config.corsEnabled, origins: config.corsOrigins },
    rateLimiter: config.rateLimitEnabled ? await newRateLimiter(config, redis) : undefined,
    authorize: authorizer({
      keys: access.keys,
      loopback: isLoopback(config.host),
      allowAdminWithoutKeys: config.allowAdminWithoutKeys,
    }),
    observer: observers(metrics, requestLog(log)),
  };
  // First, so that a port that cannot be had ends the start before anybody is answered.
  const grpc = await kserve.serveGrpc(rules);
  const app = uws.App();
  const sockets = new SocketServer(app, operations, { ...rules, connect, idleSeconds: Math.ceil(config.socketIdleMs / 1000) });
  const http = await serveHttp(uws, app, operations, {
    ...rules,
    host: config.host,
    port: config.port,
    upgraded: () => sockets.upgraded,
    errorShapes: [
      { prefix: '/', encodeError: detailError },
      { prefix: '/v1', encodeError: openaiError },
      { prefix: '/v2', encodeError: kserveError },
    ],
  }).catch((error: unknown) => {
    grpc?.close();
    throw error;
  });
  if (grpc !== undefined) log.info({ host: config.host, port: grpc.port }, 'listening for gRPC');
  log.info({ host: config.host, port: http.port, pid: process.pid }, 'listening');

  const loading = atStart.map((entry) => registry.add(entry).load());
  for (const entry of onDemand) registry.add(entry);
  triton = openTriton?.(registry);
  // One that cannot be had is no reason to withhold the others; it is tried again when somebody asks for it.
  const started = Promise.allSettled(loading).then((loads) => {
    starting = false;
    const failures = loads.filter((load) => load.status === 'rejected');
    if (failures.length === loads.length) throw failures[0]!.reason;
  });
  // Whoever waits for ready() hears of it; the log has the reason.
  started.catch(() => {});
  const recovery = new Recovery(() => registry.list(), () => starting || isReady({ accepting: () => true, starting: () => false, registry }));
  metrics.watch({
    requestsInFlight: () => http.inFlight + sockets.inFlight + (grpc?.inFlight ?? 0),
    sockets: () => sockets.connections,
    models: () => registry.list().map((each) => [each.name, each.gauges]),
  });
  metrics.models.watch({ models: () => modelFacts(registry, tensors), loadedMax: config.modelsMax });

  return {
    port: http.port,
    ready: () => started,
    stuck,
    close: async () => {
      accepting = false;
      recovery.close();
      await new Promise((resolve) => setTimeout(resolve, config.drainDelayMs));
      await Promise.all([http.drain(), sockets.drain(), grpc?.drain()]);
      await Promise.all([registry.close(), tensors.close()]);
      triton?.close();
      await Promise.all([history?.close(historyCloseMsMax), embeddingCache?.close(), answers.close()]);
      http.close();
      grpc?.close();
      redis?.disconnect();
      access.close();
    },
  };
}

/** Rows of the inference history go to MongoDB where there is one, else into a file of ours. */
function newHistory(config: Config, metrics: Metrics, log: Log): History {
  const directory = join(config.dataDirectory, 'history');
  const place = { directory, mongodbUrl: config.mongodbUrl };
  return new History({
    open: async () => (await import('./history/store.ts')).openHistoryStore(place),
    flushMs: config.historyFlushMs,
    rowsMax: config.historyRowsMax,
    ageMsMax: config.historyAgeMsMax,
    metrics: metrics.history(),
    log,
  });
}

function embedOperations(engine: EmbedEngine, defaultName: string, config: Config): AnyOperation[] {
  const limits = { batchInputsMax: config.batchInputsMax, charsMax: config.textCharsMax };
  const tei = teiEmbed(engine, defaultName, { inputsMax: config.batchInputsMax, charsMax: config.inputCharsMax });
  return [chooseByField('inputs', tei, embedOne(engine, limits)), embedBatch(engine, limits)];
}

/** The keys in force, and the end of watching their file. Throws KeyListError or the file's error. */
function openKeys(config: Config, log: Log): { keys: () => readonly ApiKey[] | undefined; close: () => void } {
  const fromOption = config.apiKey === undefined ? [] : [keyOfEverything(config.apiKey)];
  if (config.apiKeysFile === undefined) {
    if (fromOption.length > 0) return { keys: () => fromOption, close: () => {} };
    if (!isLoopback(config.host)) log.warn({ host: config.host }, 'no API keys: whoever reaches this address may use the server');
    return { keys: () => undefined, close: () => {} };
  }
  const file = new KeyFile(config.apiKeysFile, (outcome) => {
    if ('error' in outcome) log.error({ err: outcome.error }, 'the key file cannot be used; the last keys stay in force');
    else log.info({ keys: outcome.keys }, 'keys read again');
  }, fromOption);
  return { keys: () => [...fromOption, ...file.keys], close: () => file.close() };
}

function observers(metrics: Metrics, requests: CallObserver): CallObserver {
  return {
    ended(call, reply, error) {
      metrics.requestEnded(call.operation.name, reply.status, performance.now() - call.startedMs, error?.code);
      requests.ended(call, reply, error);
    },
  };
}

// Redis, the rate limiter and gRPC are off by default, and loading them takes a tenth of a second: only then.

async function tritonOpener(url: string, config: Config, metrics: Metrics, log: Log): Promise<(registry: Registry) => TritonModels> {
  const { TritonModels } = await import('./assembly/triton.ts');
  return (registry) => new TritonModels(url, config, registry, metrics, log);
}

/** A request waits for the limiter, so its commands fail fast; memory counts then. */
async function connectLimiterRedis({ redisUrl }: Config, log: Log): Promise<Redis | undefined> {
  if (redisUrl === undefined) return undefined;
  const { connectRedis } = await import('./cache/redis-connection.ts');
  return connectRedis(redisUrl, log, { commandTimeout: 100 });
}

async function newRateLimiter(config: Config, redis: Redis | undefined): Promise<RateLimiter> {
  const { RateLimiter } = await import('./transport/rate-limit.ts');
  return new RateLimiter({
    requestsPerMinute: config.rateLimitRequestsPerMinute,
    trustedProxies: config.trustProxy ? 1 : 0,
    redis,
  });
}
