// From modules.json and its folders to the steps that make one vector of the token vectors.
// What this server cannot compute it refuses: a module that is skipped gives vectors that look right and are not.
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { EmbeddingModule, PoolingMode } from '../backend/manifest.ts';
import { staysInside } from './inside.ts';
import { ManifestError, positiveInteger, readJson, readJsonValue } from './json-file.ts';
import type { Json } from './json-file.ts';

export type ListedModule = {
  /** The last part of the Python type: `Pooling`. */
  readonly type: string;
  /** Relative to the model's folder, and inside it. */
  readonly path: string;
};

/** modules.json in its order; undefined when the folder has none. */
export function readModuleList(directory: string): readonly ListedModule[] | undefined {
  const file = path.join(directory, 'modules.json');
  const list = readJsonValue(file);
  if (list === undefined) return undefined;
  if (!Array.isArray(list)) throw new ManifestError(`${file} must hold a JSON array.`);
  return list
    .map((entry: Json | null, i) => ({ ...listedModule(entry, file), index: Number(entry?.['idx'] ?? i) }))
    .sort((a, b) => a.index - b.index);
}

function listedModule(entry: Json | null, file: string): ListedModule {
  const type = entry?.['type'];
  const folder = entry?.['path'];
  if (typeof type !== 'string' || typeof folder !== 'string') {
    throw new ManifestError(`${file}: every module needs a type and a path.`);
  }
  if (!staysInside(folder)) {
    throw new ManifestError(`${file}: the path '${folder}' leaves the model's folder.`);
  }
  if (!type.startsWith('sentence_transformers.')) {
    throw new ManifestError(`${file}: ${type} is Python code of the model's own, which this server cannot run.`);
  }
  return { type: type.slice(type.lastIndexOf('.') + 1), path: folder };
}

/** The modules after the Transformer. */
export function readModules(
  directory: string,
  listed: readonly ListedModule[],
  pooling?: PoolingMode,
): readonly EmbeddingModule[] {
  if (listed[0]?.type !== 'Transformer' || listed[1]?.type !== 'Pooling') {
    const order = listed.map((module) => module.type).join(', ');
    throw new ManifestError(`${directory}: modules.json must begin with Transformer, Pooling; it lists ${order}.`);
  }
  const modules: EmbeddingModule[] = [readPooling(path.join(directory, listed[1].path), pooling)];
  for (const module of listed.slice(2)) {
    if (module.type === 'Dense') modules.push(readDense(path.join(directory, module.path)));
    else if (module.type === 'Normalize') modules.push({ kind: 'normalize' });
    // Dropout does nothing outside training.
    else if (module.type !== 'Dropout') {
      throw new ManifestError(`${directory}: modules.json lists ${module.type} after Pooling, which is not supported.`);
    }
  }
  return modules;
}

/** In the order in which sentence-transformers concatenates: models/Pooling.py, `forward`. */
const poolingModes: readonly { mode: PoolingMode; name: string; flag: string }[] = [
  { mode: 'cls', name: 'cls', flag: 'pooling_mode_cls_token' },
  { mode: 'max', name: 'max', flag: 'pooling_mode_max_tokens' },
  { mode: 'mean', name: 'mean', flag: 'pooling_mode_mean_tokens' },
  { mode: 'meanSqrtLength', name: 'mean_sqrt_len_tokens', flag: 'pooling_mode_mean_sqrt_len_tokens' },
  { mode: 'weightedMean', name: 'weightedmean', flag: 'pooling_mode_weightedmean_tokens' },
  { mode: 'lastToken', name: 'lasttoken', flag: 'pooling_mode_lasttoken' },
];

/** Reads a Pooling folder; `override` replaces the modes it names. */
export function readPooling(folder: string, override?: PoolingMode): EmbeddingModule {
  const config = readJson(path.join(folder, 'config.json'));
  const includePrompt = config?.['include_prompt'] !== false;
  if (override !== undefined) return { kind: 'pooling', modes: [override], includePrompt };
  if (config === undefined) throw new ManifestError(`${folder} has no config.json that says how to pool.`);
  return { kind: 'pooling', modes: configuredModes(config, folder), includePrompt };
}

function configuredModes(config: Json, folder: string): readonly PoolingMode[] {
  // Newer files name the mode or a list of them; older ones have a flag for each.
  const named = config['pooling_mode'] ?? undefined;
  const names = named === undefined ? undefined : [named].flat().map((name) => String(name).toLowerCase());
  const unknown = names?.find((name) => !poolingModes.some((known) => known.name === name));
  if (unknown !== undefined) {
    throw new ManifestError(`${folder}/config.json wants the pooling mode '${unknown}', which is not supported.`);
  }
  const modes = poolingModes.filter(({ mode, name, flag }) => {
    // Mean is on unless switched off: the default of sentence-transformers' constructor.
    return names === undefined ? (config[flag] ?? mode === 'mean') === true : names.includes(name);
  });
  if (modes.length === 0) throw new ManifestError(`${folder}/config.json switches on no way to pool.`);
  return modes.map(({ mode }) => mode);
}

const activations = ['identity', 'tanh', 'relu', 'gelu', 'sigmoid'] as const;

function readDense(folder: string): EmbeddingModule {
  const config = readJson(path.join(folder, 'config.json'));
  if (config === undefined) throw new ManifestError(`${folder} has no config.json.`);
  const weightsFile = path.join(folder, 'model.safetensors');
  if (!existsSync(weightsFile)) {
    throw new ManifestError(`${folder} has no model.safetensors; pytorch_model.bin can hold code and is not read.`);
  }
  for (const key of ['module_input_name', 'module_output_name']) {
    const name = config[key] ?? 'sentence_embedding';
    if (name !== 'sentence_embedding') {
      throw new ManifestError(`${folder}/config.json: ${key} '${String(name)}' is not supported.`);
    }
  }
  const torchName = String(config['activation_function']);
  const activation = activations.find((name) => name === torchName.slice(torchName.lastIndexOf('.') + 1).toLowerCase());
  if (!torchName.startsWith('torch.nn.') || activation === undefined) {
    throw new ManifestError(`${folder}/config.json: the activation ${torchName} is none of ${activations.join(', ')}.`);
  }
  const inputDimension = positiveInteger(config['in_features']);
  const outputDimension = positiveInteger(config['out_features']);
  if (inputDimension === undefined || outputDimension === undefined) {
    throw new ManifestError(`${folder}/config.json lacks in_features or out_features.`);
  }
  return { kind: 'dense', weightsFile, inputDimension, outputDimension, bias: config['bias'] !== false, activation };
}
