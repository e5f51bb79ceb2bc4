// Reads a Hugging Face folder, with or without sentence-transformers' files, into one EmbeddingManifest.
// Runs on the main thread when a model is loaded; opens no session.
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { EmbeddingManifest, EmbeddingModule, PoolingMode } from '../backend/manifest.ts';
import { ManifestError, positiveInteger, readJson, tokenId } from './json-file.ts';
import type { Json } from './json-file.ts';
import { readModuleList, readModules, readPooling } from './modules.ts';
import { findOnnxFile, onnxFileNames, onnxFilesIn, readOnnxSummary, thisCpu } from './onnx-file.ts';
import type { OnnxSummary, Precision } from './onnx-file.ts';
import { isProteinTokenizer } from './protein.ts';

export { ManifestError } from './json-file.ts';

export type ManifestWants = {
  /** The id clients ask for; the folder's own name when absent. */
  readonly name?: string;
  readonly precision: Precision;
  /** Replaces what the folder says; needed where it says nothing. */
  readonly pooling?: PoolingMode;
  /** Replaces the model's usual length, up to its number of positions. */
  readonly contextTokensMax?: number;
};

/** @throws ManifestError, one sentence for the operator. */
export function readManifest(directory: string, wants: ManifestWants): EmbeddingManifest {
  const listed = readModuleList(directory);
  const folder = path.join(directory, listed?.[0]?.path ?? '');
  const config = readJson(path.join(folder, 'config.json')) ?? {};
  const tokenizerFile = path.join(folder, 'tokenizer.json');
  const tokenizerConfigFile = path.join(folder, 'tokenizer_config.json');
  const tokenizerConfig = readJson(tokenizerConfigFile);
  const transformerConfig = readTransformerConfig(folder) ?? {};
  if (!existsSync(tokenizerFile)) {
    throw new ManifestError(`${folder} has no tokenizer.json; save the model's fast tokenizer there.`);
  }
  const onnxFile = chooseOnnxFile([folder, path.join(folder, 'onnx'), path.join(directory, 'onnx')], wants.precision);
  const summary = summaryOf(onnxFile);
  if (summary === undefined) {
    throw new ManifestError(`${onnxFile} is not a whole ONNX model; a Git LFS pointer or an unfinished download?`);
  }
  const { precision, batchable } = describePrecision(onnxFile, summary);
  if (wants.precision === 'fp32' && precision === 'int8') {
    throw new ManifestError(`${onnxFile} computes in int8, but precision fp32 was asked for.`);
  }
  return {
    name: wants.name ?? folderName(directory),
    onnxFile,
    tokenizerFile,
    tokenizerConfigFile: tokenizerConfig && tokenizerConfigFile,
    inputTokensMax: inputTokensMax(folder, { config, tokenizerConfig, transformerConfig }, wants.contextTokensMax),
    padTokenId: padTokenId(config, tokenizerConfig, tokenizerFile),
    lowerCase: transformerConfig['do_lower_case'] === true,
    modules: listed ? readModules(directory, listed, wants.pooling) : guessModules(directory, summary, wants.pooling),
    matryoshkaDimensions: matryoshkaDimensions(config),
    ...readPrompts(directory),
    precision,
    batchable,
    protein: isProteinTokenizer(tokenizerFile),
  };
}

/**
 * Without modules.json vectors are pooled and no more, as Text Embeddings Inference does it: nothing says
 * that the model was trained for unit length, and a request may ask for it.
 */
function guessModules(directory: string, summary: OnnxSummary, pooling?: PoolingMode): readonly EmbeddingModule[] {
  const folder = path.join(directory, '1_Pooling');
  if (pooling !== undefined || existsSync(path.join(folder, 'config.json'))) return [readPooling(folder, pooling)];
  if (summary.outputs.includes('sentence_embedding')) return [];
  throw new ManifestError(`${directory} does not say how to pool; set POOLING as the model's card says, e.g. mean.`);
}

/** sentence-transformers' own settings of the Transformer module; the older names were per architecture. */
function readTransformerConfig(folder: string): Json | undefined {
  for (const name of ['bert', 'roberta', 'distilbert', 'camembert', 'albert', 'xlm-roberta', 'xlnet']) {
    const config = readJson(path.join(folder, `sentence_${name}_config.json`));
    if (config !== undefined) return config;
  }
  return undefined;
}

/** Positions of these start after the padding token's id, so that many of the table are never used. */
const offsetPositionTypes: readonly unknown[] = ['roberta', 'xlm-roberta', 'xlm-roberta-xl', 'camembert', 'mpnet'];
/** transformers writes 1e30 where a tokenizer has no limit. */
const believableTokensMax = 10_000_000;

type Configs = { readonly config: Json; readonly tokenizerConfig: Json | undefined; readonly transformerConfig: Json };

function inputTokensMax(folder: string, configs: Configs, wanted: number | undefined): number {
  const { config, tokenizerConfig, transformerConfig } = configs;
  const table = positiveInteger(config['max_position_embeddings']);
  const offset = offsetPositionTypes.includes(config['model_type']) ? (tokenId(config['pad_token_id']) ?? 1) + 1 : 0;
  const positions = table === undefined ? Infinity : table - offset;
  const tokenizerMax = positiveInteger(tokenizerConfig?.['model_max_length']) ?? Infinity;
  const trained = positiveInteger(config['max_trained_positions'] ?? config['n_positions']) ?? Infinity;
  const usual = positiveInteger(transformerConfig['max_seq_length']) ?? Math.min(tokenizerMax, trained);
  const tokens = Math.min(wanted ?? usual, positions);
  if (tokens < believableTokensMax) return tokens;
  throw new ManifestError(`${folder} says nowhere how many tokens an input may have; set the context length.`);
}

/** config.json first: graphs that count positions from the ids were exported with its id. */
function padTokenId(config: Json, tokenizerConfig: Json | undefined, tokenizerFile: string): number {
  const configured = tokenId(config['pad_token_id']);
  if (configured !== undefined) return configured;
  const tokenizer = readJson(tokenizerFile) ?? {};
  const named = tokenizerConfig?.['pad_token'];
  const content = typeof named === 'object' && named !== null ? (named as Json)['content'] : named;
  const added = Array.isArray(tokenizer['added_tokens']) ? (tokenizer['added_tokens'] as Json[]) : [];
  const ofTokenizer = tokenId(added.find((token) => token['content'] === content)?.['id'])
    ?? tokenId((tokenizer['padding'] as Json | null | undefined)?.['pad_id']);
  // The attention mask hides padding, so where nothing names an id any will do.
  return ofTokenizer ?? 0;
}

function matryoshkaDimensions(config: Json): readonly number[] {
  const list = config['matryoshka_dimensions'] ?? config['matryoshka_dims'];
  const dimensions = Array.isArray(list) ? list.map(positiveInteger) : [];
  return dimensions.filter((dimension) => dimension !== undefined).sort((a, b) => a - b);
}

function readPrompts(directory: string): Pick<EmbeddingManifest, 'prompts' | 'defaultPromptName'> {
  const file = path.join(directory, 'config_sentence_transformers.json');
  const config = readJson(file);
  // No prototype: a prompt name comes from clients, and 'constructor' must not be found.
  const prompts = Object.create(null) as Record<string, string>;
  for (const [name, prompt] of Object.entries((config?.['prompts'] as Json | null | undefined) ?? {})) {
    if (typeof prompt !== 'string') throw new ManifestError(`${file}: the prompt '${name}' is not a text.`);
    prompts[name] = prompt;
  }
  const defaultPromptName = config?.['default_prompt_name'] ?? undefined;
  if (defaultPromptName === undefined) return { prompts, defaultPromptName };
  if (typeof defaultPromptName !== 'string' || prompts[defaultPromptName] === undefined) {
    throw new ManifestError(`${file}: default_prompt_name '${String(defaultPromptName)}' is not among its prompts.`);
  }
  return { prompts, defaultPromptName };
}

function chooseOnnxFile(folders: readonly string[], precision: Precision): string {
  const names = onnxFileNames(precision, thisCpu());
  const file = findOnnxFile(folders, names);
  if (file !== undefined) return file;
  const present = [...new Set(folders.flatMap(onnxFilesIn))];
  throw new ManifestError(`${folders[0]} has no ONNX file for precision ${precision} on this CPU, `
    + `which would be ${names.join(' or ')}; there is ${present.join(', ') || 'none at all'}.`);
}

function summaryOf(onnxFile: string): OnnxSummary | undefined {
  try {
    return readOnnxSummary(onnxFile);
  } catch (error) {
    // Most of all: a link into a cache whose blobs were removed.
    throw new ManifestError(`${onnxFile} cannot be read: ${(error as Error).message}.`);
  }
}

type Described = Pick<EmbeddingManifest, 'precision' | 'batchable'>;

function describePrecision(file: string, { operators }: OnnxSummary): Described {
  const batchable = ![...operators].some((operator) => operator.startsWith('DynamicQuantize'));
  if (!batchable || operators.has('QuantizeLinear')) return { precision: 'int8', batchable };
  if (operators.has('DequantizeLinear')) return { precision: 'int8-weights', batchable };
  if (operators.has('MatMulNBits')) return { precision: 'int4-weights', batchable };
  return { precision: /_(fp16|O4)\.onnx$/.test(file) ? 'fp16' : 'fp32', batchable };
}

/** The Hub's cache keeps a model under models--org--name/snapshots/commit. */
function folderName(directory: string): string {
  const cached = /models--([^\\/]+)[\\/]snapshots[\\/][^\\/]+[\\/]?$/.exec(directory)?.[1];
  return cached === undefined ? path.basename(path.resolve(directory)) : cached.replace('--', '/');
}
