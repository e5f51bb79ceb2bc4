// What a model on a Triton server is: which tensor takes the texts, which gives the vectors, and what it is by content.
import { createHash } from 'node:crypto';
import { ServerError } from '../../errors.ts';
import { tritonEnsembleModelsMax, tritonMetadataMsMax } from '../../limits.ts';
import type { TritonClient } from './client.ts';
import type { ModelConfig, ModelMetadata } from './messages.ts';
import type { FloatType } from './tensors.ts';

export type TritonModel = {
  readonly name: string;
  /** The newest that Triton serves: it is the one that answers. */
  readonly version: string;
  readonly input: string;
  readonly output: string;
  readonly outputType: FloatType;
  readonly dimension: number;
  /** Whether shapes begin with the batch. */
  readonly batched: boolean;
  readonly batchInputsMax: number;
  /**
   * Changes with the name, version and configuration of the model and, in an ensemble, of all its parts. Files that
   * are replaced under the same version cannot be seen.
   */
  readonly identity: string;
  readonly metadata: ModelMetadata;
  readonly config: ModelConfig;
};

/** What it is read from. */
type Source = Pick<TritonClient, 'metadata' | 'config'>;

/** Rejects with the library's ServiceError, or with MODEL_NOT_READY when it is no model of texts to vectors. */
export async function readTritonModel(client: Source, name: string): Promise<TritonModel> {
  const [metadata, config] = await describe(client, name);
  return {
    name,
    version: newest(metadata.versions),
    ...inputOf(config),
    ...outputOf(config),
    batched: config.max_batch_size > 0,
    batchInputsMax: Math.max(1, config.max_batch_size),
    identity: await identityOf(client, metadata, config),
    metadata,
    config,
  };
}

function describe(client: Source, name: string): Promise<[ModelMetadata, ModelConfig]> {
  return Promise.all([client.metadata(name, tritonMetadataMsMax), client.config(name, tritonMetadataMsMax)]);
}

function newest(versions: readonly string[]): string {
  return [...versions].sort((a, b) => Number(b) - Number(a))[0] ?? '';
}

function inputOf({ name, input }: ModelConfig): Pick<TritonModel, 'input'> {
  const needed = input.filter(({ optional }) => !optional);
  const text = needed.find(({ data_type, dims }) => data_type === 'TYPE_STRING' && elements(dims) === 1);
  if (text !== undefined && needed.length === 1) return { input: text.name };
  throw unusable(`${name} does not take one text as its only input (TYPE_STRING, dims [ 1 ])`);
}

function outputOf({ name, output }: ModelConfig): Pick<TritonModel, 'output' | 'outputType' | 'dimension'> {
  const vector = output.find(({ data_type, dims }) => floatTypes[data_type] !== undefined && elements(dims) > 0);
  if (vector === undefined) throw unusable(`${name} gives no vector of a fixed length (TYPE_FP16 or TYPE_FP32)`);
  return { output: vector.name, outputType: floatTypes[vector.data_type]!, dimension: elements(vector.dims) };
}

const floatTypes: Readonly<Record<string, FloatType>> = { TYPE_FP16: 'FP16', TYPE_FP32: 'FP32' };

/** Values in one text's share of a tensor, negative or 0 where the model leaves a dimension open. */
function elements(dims: readonly number[]): number {
  return dims.some((dim) => dim < 1) ? 0 : dims.reduce((product, dim) => product * dim, 1);
}

function unusable(why: string): ServerError {
  return new ServerError('MODEL_NOT_READY', `The model cannot embed texts: ${why}.`);
}

/** An ensemble is made of models whose versions it does not name: those are looked at, too, and theirs. */
async function identityOf(client: Source, metadata: ModelMetadata, config: ModelConfig): Promise<string> {
  const seen = new Map([[metadata.name, facts(metadata, config)]]);
  let next = partsOf(config);
  while (next.length > 0) {
    const fresh = [...new Set(next)].filter((name) => !seen.has(name));
    if (seen.size + fresh.length > tritonEnsembleModelsMax) throw unusable('its ensemble has too many parts');
    const parts = await Promise.all(fresh.map((name) => describe(client, name)));
    parts.forEach((part, i) => seen.set(fresh[i]!, facts(...part)));
    next = parts.flatMap(([, part]) => partsOf(part));
  }
  const text = JSON.stringify([...seen].sort(([a], [b]) => (a < b ? -1 : 1)), sortedKeys);
  return `triton:${createHash('sha256').update(text).digest('base64url')}`;
}

function partsOf(config: ModelConfig): string[] {
  return config.ensemble_scheduling?.step.map((step) => step.model_name) ?? [];
}

/** What decides the vectors: not how batches are made, nor how many instances run. */
function facts({ versions, platform }: ModelMetadata, config: ModelConfig): object {
  const { name, backend, input, output, ensemble_scheduling, default_model_filename, parameters } = config;
  return {
    version: newest(versions),
    platform,
    config: {
      name,
      platform: config.platform,
      backend,
      input: input.map(({ name, data_type, dims, optional }) => ({ name, data_type, dims, optional })),
      output: output.map(({ name, data_type, dims }) => ({ name, data_type, dims })),
      steps: ensemble_scheduling?.step.map(({ model_name, model_version, input_map, output_map }) => {
        return { model_name, model_version, input_map, output_map };
      }),
      default_model_filename,
      parameters,
    },
  };
}

/** Maps have no order in protobuf: two answers of one server may differ in it. */
function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
