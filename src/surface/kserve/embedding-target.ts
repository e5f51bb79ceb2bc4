// An embedding model as the protocol sees it: BYTES texts in, FP32 rows out.
import type { EmbedEngine, EmbedResult } from '../../engine/embed.ts';
import { ServerError } from '../../errors.ts';
import type { Call } from '../../operation.ts';
import type { InferenceStatistics } from '../../registry/inference-statistics.ts';
import type { KnownModel } from '../../registry/registry.ts';
import type { Tensor } from '../../tensor/dtypes.ts';
import { textOfBytes } from '../../tensor/wire.ts';
import { embedInputs, type InputLimits } from '../inputs.ts';
import type { InferAnswer, InferRequest, KserveModel, ModelDescription, ModelState } from './model.ts';
import { scheduleOf } from './schedule.ts';

const inputName = 'text';
const outputName = 'embedding';
/** Embedding models have no versions; the protocol wants one. */
const onlyVersion = '1';

export class EmbeddingTarget implements KserveModel {
  readonly #model: KnownModel;
  readonly #engine: EmbedEngine;
  readonly #limits: InputLimits;
  readonly version = onlyVersion;
  readonly versions = [onlyVersion];

  constructor(model: KnownModel, engine: EmbedEngine, limits: InputLimits) {
    this.#model = model;
    this.#engine = engine;
    this.#limits = limits;
  }

  get name(): string {
    return this.#model.name;
  }

  get state(): ModelState {
    return this.#model.state;
  }

  get failure(): string | undefined {
    return this.#model.slot.failure?.message;
  }

  get statistics(): InferenceStatistics {
    return this.#model.statistics;
  }

  async describe(): Promise<ModelDescription> {
    const lease = await this.#model.slot.lease();
    try {
      const { dimension, provider } = lease.model.backend.description;
      return {
        platform: 'onnxruntime_onnx',
        backend: 'onnxruntime',
        inputs: [{ name: inputName, datatype: 'string', shape: [-1, 1], optional: false }],
        outputs: [{ name: outputName, datatype: 'float32', shape: [-1, dimension], optional: false }],
        rowsMax: this.#limits.inputsMax,
        batching: { rowsMax: this.#limits.inputsMax, preferredRows: [], queueDelayMs: 0, priorityLevels: 0, defaultPriority: 0 },
        instances: lease.model.backend.concurrency,
        provider,
      };
    } finally {
      lease.release();
    }
  }

  /** Takes the request parameters `dimensions` and `prompt_name` as the other embedding paths do; turns are fair, so `priority` changes none. */
  async infer(request: InferRequest, call: Call): Promise<InferAnswer> {
    const { queueMsMax } = scheduleOf(request.parameters);
    const { dimensions, prompt_name: promptName } = request.parameters as { dimensions?: unknown; prompt_name?: unknown };
    if (dimensions !== undefined && !Number.isSafeInteger(dimensions)) throw invalid('parameters.dimensions', 'must be an integer');
    if (promptName !== undefined && typeof promptName !== 'string') throw invalid('parameters.prompt_name', 'must be a string');
    const other = request.outputs?.find((name) => name !== outputName);
    if (other !== undefined) throw invalid(other, `is no output of this model; it gives '${outputName}'`);
    if ((request.outputs?.length ?? 0) > 1) throw invalid(outputName, 'is asked for twice');
    const result = await this.#engine.embed({
      model: this.name,
      inputs: embedInputs(texts(request.inputs), inputName, this.#limits),
      dimensions: dimensions as number | undefined,
      promptName,
      queueMsMax,
      fields: { model: 'model', inputs: inputName },
    }, call);
    return { model: this.name, version: onlyVersion, id: request.id, outputs: [{ name: outputName, tensor: rows(result) }] };
  }

  async load(): Promise<void> {
    const { slot } = this.#model;
    if (slot.state === 'failed') return slot.reload();
    (await slot.lease()).release();
  }

  unload(): void {
    if (this.#model.pinned) throw new ServerError('REQUEST_INVALID', 'The model is pinned: it stays loaded.');
    this.#model.slot.unload().catch(() => {});
  }
}

function texts(inputs: InferRequest['inputs']): readonly string[] {
  if ('raw' in inputs) return [textOfBytes(inputs.raw, inputName)];
  const [input] = inputs;
  const other = inputs.find(({ name }) => name !== inputName);
  if (other !== undefined) throw invalid(other.name, `is no input of this model; it takes '${inputName}'`);
  if (input === undefined) throw invalid(inputName, 'is missing');
  if (inputs.length > 1) throw invalid(inputName, 'is given twice');
  const { datatype, shape, data } = input.tensor;
  if (datatype !== 'string') throw invalid(inputName, 'must be BYTES');
  if (shape.length !== 1 && !(shape.length === 2 && shape[1] === 1)) throw invalid(inputName, 'must have the shape [n, 1] or [n]');
  return data as string[];
}

function rows(result: EmbedResult): Tensor {
  const data = new Float32Array(result.rows.length * result.dimension);
  result.rows.forEach((row, i) => data.set(row, i * result.dimension));
  return { datatype: 'float32', shape: [result.rows.length, result.dimension], data };
}

function invalid(field: string, reason: string): ServerError {
  return new ServerError('REQUEST_INVALID', `'${field.slice(0, 80)}' ${reason}.`, { field });
}
