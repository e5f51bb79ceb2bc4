// Which embedding models the server has, and how each is opened: the first from a folder, the others from the hub.
import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openOnnxBackend, type OnnxOptions } from '../backend/onnx.ts';
import type { Patience } from '../backend/worker-pool.ts';
import { chooseDevices } from '../backend/devices.ts';
import type { EmbeddingManifest } from '../backend/manifest.ts';
import type { BatchObserver } from '../batch/batcher.ts';
import { coresAvailable } from '../config/cores.ts';
import type { Config } from '../config.ts';
import { ServerError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { ModelFacts } from '../metrics/model-series.ts';
import { EmbeddingModel } from '../registry/embedding-model.ts';
import { modelIdentity } from '../registry/identity.ts';
import { ManifestError, readManifest } from '../registry/manifest.ts';
import { checkIdentity, checkPrecision, exactFileBeside, isPrecise } from '../registry/precision-check.ts';
import { ModelCache } from '../registry/model-cache.ts';
import { findProteinFolder } from '../registry/protein.ts';
import type { ModelEntry, Registry } from '../registry/registry.ts';
import { openTensorModel } from '../registry/tensor-model.ts';
import { TensorModels } from '../registry/tensor-models.ts';
import { modelDirectoryOf } from './uploads.ts';

/** The embedded model, and the name it answers to. */
const embedded = {
  directory: new URL('../../../models/all-MiniLM-L6-v2/', import.meta.url),
  name: 'sentence-transformers/all-MiniLM-L6-v2',
};

const repositoryPattern = /^[\w.-]+\/[\w.-]+(@[\w./+-]+)?$/;

/** Told of a model whose worker does not come back. */
export type OnStuck = (model: string) => void;

export type EmbeddingModels = {
  /** Loaded at the start; the server is ready when all of them answer. */
  readonly atStart: readonly ModelEntry[];
  /** Loaded by the first request that names them. */
  readonly onDemand: readonly ModelEntry[];
  /** The encoder of proteins among those of folders, by name. */
  readonly protein: string | undefined;
};

/** Throws ManifestError when the first model's folder makes no sense. Asks the hub for nothing yet. */
export function embeddingModels(config: Config, metrics: Metrics, log: Log, onStuck: OnStuck): EmbeddingModels {
  const first = firstManifest(config);
  const makeEntry = (name: string, read: () => Promise<EmbeddingManifest>, pinned: boolean) => {
    return entryOf({ name, read, pinned: pinned || isAmong(config.pinnedModels, name) }, config, metrics, log, onStuck);
  };
  // It is read for the first load; a later one sees what the folder then holds.
  let unused: EmbeddingManifest | undefined = first;
  const readFirst = async () => {
    const manifest = unused ?? firstManifest(config);
    unused = undefined;
    return manifest;
  };
  const fromHub = (repository: string) => makeEntry(nameOf(repository), () => pullManifest(repository, config, log), false);
  // Nobody who asked for other models by name meant the embedded one, too.
  const folder = config.modelPath !== undefined || config.models.length === 0;
  const repositories = [...new Set(config.models)];
  const listed = repositories.map(nameOf);
  // A client's wish alone never makes the server fetch anything: the operator has named these.
  const allowed = config.allowedModels.filter((name) => {
    return repositoryPattern.test(name) && !listed.includes(nameOf(name)) && !(folder && nameOf(name) === first.name);
  });
  const proteinFolder = config.modelDirectory === undefined ? undefined : findProteinFolder(config.modelDirectory);
  const protein = folder && first.protein ? undefined : proteinFolder;
  refuseEqualNames([
    ...(folder ? [first.name] : []),
    ...listed,
    ...(protein === undefined ? [] : [path.basename(protein)]),
    ...(config.tritonUrl === undefined ? [] : config.tritonModels),
  ]);
  const fromFolder = (directory: string) => {
    const name = path.basename(directory);
    return makeEntry(name, async () => readManifest(directory, { ...manifestWants(config), name }), false);
  };
  return {
    // The first model stays: somebody who starts a server for one model wants it to answer at once.
    atStart: [...(folder ? [makeEntry(first.name, readFirst, true)] : []), ...repositories.map(fromHub)],
    onDemand: [...allowed.map(fromHub), ...(protein === undefined ? [] : [fromFolder(protein)])],
    protein: protein === undefined ? (folder && first.protein ? first.name : undefined) : path.basename(protein),
  };
}

/** Of two with one name a client could reach only one, and the other would never be closed. */
function refuseEqualNames(names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  throw new ManifestError(`Two models have the name ${twice}: MODELS takes one revision of each, and MODEL_NAME must be another.`);
}

function patienceOf({ stuckMsMax }: Config, onStuck: () => void): Patience | undefined {
  return stuckMsMax === 0 ? undefined : { taskMsMax: stuckMsMax, onStuck };
}

export function modelCache(config: Config, metrics: Metrics, log: Log): ModelCache {
  const { modelsMax, modelIdleMsMax, cleanupIntervalMs } = config;
  return new ModelCache({ modelsMax, idleMsMax: modelIdleMsMax, cleanupIntervalMs }, ({ name, reason }) => {
    metrics.models.evicted(reason);
    log.info({ model: name, reason }, 'model leaves');
  });
}

/** Threads and devices of every model's pool. */
function onnxOptions(config: Config): OnnxOptions {
  const cores = coresAvailable();
  const workers = config.workers === 'auto' ? cores : config.workers;
  return {
    workers,
    // More threads than cores cost a tenth to a fifth of the throughput (bench/README.md).
    intraOpThreads: config.intraOpThreads === 'auto' ? Math.max(1, Math.floor(cores / workers)) : config.intraOpThreads,
    spinning: config.intraOpSpinning,
    arena: config.cpuArena,
    devices: chooseDevices(config.device),
    runTokensMax: config.runTokensMax,
  };
}

function firstManifest(config: Config): EmbeddingManifest {
  const name = config.modelName ?? (config.modelPath === undefined ? embedded.name : undefined);
  return readManifest(config.modelPath ?? fileURLToPath(embedded.directory), { ...manifestWants(config), ...(name !== undefined && { name }) });
}

function manifestWants(config: Config) {
  return {
    precision: config.precision,
    ...(config.pooling !== undefined && { pooling: config.pooling }),
    ...(config.contextTokensMax !== undefined && { contextTokensMax: config.contextTokensMax }),
  };
}

async function pullManifest(repository: string, config: Config, log: Log): Promise<EmbeddingManifest> {
  // A server with an embedded model never needs this part.
  const { hubSettings, pullModel } = await import('../hub/pull.ts');
  const onWarning = (warning: string) => log.warn({ model: repository }, warning);
  const { directory } = await pullModel(repository, { settings: hubSettings(config), precision: config.precision, onWarning });
  return readManifest(directory, { ...manifestWants(config), name: nameOf(repository) });
}

/** `org/name` of `org/name@revision`. */
function nameOf(repository: string): string {
  return repository.split('@')[0]!;
}

/** Clients ask for `org/name` where the operator wrote `org/name@revision`. */
export function withoutRevisions(names: readonly string[]): readonly string[] {
  return names.map((name) => (repositoryPattern.test(name) ? nameOf(name) : name));
}

/** Any of a model's names stands for it. */
function isAmong(names: readonly string[], name: string): boolean {
  const meant = withoutRevisions(names);
  return [name, ...aliasesOf(name)].some((each) => meant.includes(each));
}

/** `all-MiniLM-L6-v2` of `sentence-transformers/all-MiniLM-L6-v2`: sentence-transformers itself knows it so. */
function aliasesOf(name: string): string[] {
  const short = name.split('/').at(-1)!;
  return short === name ? [] : [short];
}

type Wanted = { readonly name: string; readonly read: () => Promise<EmbeddingManifest>; readonly pinned: boolean };

function entryOf({ name, read, pinned }: Wanted, config: Config, metrics: Metrics, log: Log, onStuck: OnStuck): ModelEntry {
  const modelMetrics = metrics.model(name);
  const options = onnxOptions(config);
  const check = precisionChecker(options, log);
  const open = async (observer: BatchObserver, lose: () => void) => {
    const startedMs = performance.now();
    const manifest = await read();
    // While the workers load, which takes longer. Without it nothing is shared with other processes or later loads.
    const identified = modelIdentity(manifest).catch((error: unknown) => {
      log.warn({ model: name, err: error }, 'the files could not be hashed');
      return randomUUID() as string;
    });
    const patience = patienceOf(config, () => {
      lose();
      onStuck(name);
    });
    const backend = await openOnnxBackend(manifest, { ...options, patience }, (error) => {
      modelMetrics.workerCrashed();
      log.error({ model: name, err: error }, 'a worker died; another one takes its place');
    });
    const { dimension, provider, fallback, loadMs } = backend.description;
    if (fallback !== undefined) {
      modelMetrics.deviceFellBack();
      log.warn({ model: name, reason: fallback }, 'running on the CPU');
    }
    const facts = { dimension, device: provider, precision: manifest.precision, workers: options.workers, load_ms: Math.round(loadMs) };
    log.info({ model: name, ...facts }, 'model ready');
    metrics.models.loaded(name, '', performance.now() - startedMs);
    const model = new EmbeddingModel(manifest, backend, config.queueTokensMax, observer, await identified);
    model.whenMeasured(() => check(model));
    return model;
  };
  return {
    name,
    aliases: aliasesOf(name),
    pinned,
    metrics: modelMetrics,
    open: (observer, lose) => {
      return open(observer, lose).catch((error: unknown) => {
        metrics.models.loadFailed(name, '');
        log.error({ model: name, err: error }, 'the model could not be loaded');
        // Where the hub is and what its folders hold is for the log, not for clients.
        if (error instanceof ServerError) throw error;
        throw new ServerError('MODEL_NOT_READY', 'The model could not be loaded; the log of the server says why.', { cause: error });
      });
    },
  };
}

/** Compares a quantised model with the fp32 one in its folder, once for the same files, and tells the log. */
function precisionChecker(options: OnnxOptions, log: Log): (model: EmbeddingModel<EmbeddingManifest>) => Promise<void> {
  let checked: string | undefined;
  return async (model) => {
    const { name: modelName, onnxFile, precision } = model.manifest;
    try {
      const exactFile = exactFileBeside(model.manifest);
      if (exactFile === undefined) return;
      const identity = checkIdentity(onnxFile, exactFile);
      if (identity === checked) return;
      const open = (manifest: EmbeddingManifest) => openOnnxBackend(manifest, { ...options, workers: 1 }, () => {});
      const found = await checkPrecision(model, exactFile, open);
      checked = identity;
      const facts = { model: modelName, precision, cosine_mean: found.cosineMean, cosine_min: found.cosineMin };
      if (isPrecise(found)) log.info(facts, 'the quantised model agrees with fp32');
      else log.warn(facts, 'the quantised model is far from fp32: use another file, or PRECISION=fp32');
    } catch (error) {
      // Most of all: the model was unloaded meanwhile.
      log.info({ model: modelName, err: error }, 'the quantised model was not compared with fp32');
    }
  };
}

/** The tensor models of MODEL_DIR; each is loaded by its first inference. Throws ManifestError when that is no folder. */
export function tensorModels(config: Config, cache: ModelCache, metrics: Metrics, log: Log, onStuck: OnStuck): TensorModels {
  const series = metrics.models;
  refuseNoFolder(config.modelDirectory);
  const { spinning, arena, devices } = onnxOptions(config);
  // A tensor model has one worker unless its manifest says otherwise: it may use all cores.
  const options = { intraOpThreads: coresAvailable(), spinning, arena, devices };
  return new TensorModels({
    directory: modelDirectoryOf(config),
    otherDirectories: config.modelDirectory === undefined ? [fileURLToPath(new URL('../../../models/demo/', import.meta.url))] : [],
    cache,
    isPinned: ({ name, version }) => [name, `${name}:${version}`, `${name}/${version}`].some((each) => config.pinnedModels.includes(each)),
    open: (files, onCrash, lose) => {
      const patience = patienceOf(config, () => {
        lose();
        onStuck(`${files.name}:${files.version}`);
      });
      return openTensorModel(files, { ...options, patience }, onCrash);
    },
    observer: {
      loaded: ({ files: { name, version } }, loadMs) => {
        series.loaded(name, version, loadMs);
        log.info({ model: name, version, load_ms: Math.round(loadMs) }, 'tensor model ready');
      },
      failed: ({ name, version }, error) => {
        series.loadFailed(name, version);
        log.error({ model: name, version, err: error }, 'the tensor model could not be loaded');
      },
      unloaded: ({ name, version }) => log.info({ model: name, version }, 'tensor model leaves'),
      crashed: ({ name, version }, error) => {
        series.tensorWorkerCrashed();
        log.error({ model: name, version, err: error }, 'a worker died; another one takes its place');
      },
      series: ({ name, version }) => series.tensor(name, version),
    },
  });
}

/** One that is not there yet may be made by an upload. */
function refuseNoFolder(directory: string | undefined): void {
  const stat = directory === undefined ? undefined : statSync(directory, { throwIfNoEntry: false });
  if (stat?.isDirectory() === false) throw new ManifestError(`MODEL_DIR ${directory} is not a folder.`);
}

/** Every model as the metrics see it. */
export function modelFacts(registry: Registry, tensors: TensorModels): readonly ModelFacts[] {
  const embedding = registry.list().map(({ name, state, fileBytes }) => {
    return { model: name, version: '', loaded: state === 'ready', fileBytes, pending: undefined };
  });
  const tensor = tensors.known.map(({ files, state, model }) => {
    const { name, version, bytes } = files;
    return { model: name, version, loaded: state === 'ready', fileBytes: bytes, pending: model?.backend.pending ?? 0 };
  });
  return [...embedding, ...tensor];
}
