// A version of a tensor model as the protocol sees it.
import { inferTensors, type NamedTensor } from '../../engine/infer-tensors.ts';
import { ServerError, toServerError } from '../../errors.ts';
import type { Call } from '../../operation.ts';
import type { InferenceStatistics } from '../../registry/inference-statistics.ts';
import type { SlotState } from '../../registry/slot.ts';
import type { LeasedModel, TensorEntry, TensorModels } from '../../registry/tensor-models.ts';
import { elementBytes } from '../../tensor/dtypes.ts';
import type { Dimension } from '../../tensor/shapes.ts';
import { tensorOfBytes, textOfBytes } from '../../tensor/wire.ts';
import type { Recorder } from '../tensors/record.ts';
import { tensorsEntry } from '../tensors/record.ts';
import type { InferAnswer, InferRequest, KserveModel, ModelDescription, TensorDescription } from './model.ts';
import { scheduleOf } from './schedule.ts';

export class TensorTarget implements KserveModel {
  readonly #models: TensorModels;
  readonly #entry: TensorEntry;
  readonly #record: Recorder;
  readonly versions: readonly string[];

  constructor(models: TensorModels, entry: TensorEntry, versions: readonly string[], record: Recorder) {
    this.#models = models;
    this.#entry = entry;
    this.versions = versions;
    this.#record = record;
  }

  get name(): string {
    return this.#entry.files.name;
  }

  get version(): string {
    return this.#entry.files.version;
  }

  get state(): SlotState {
    return this.#entry.state;
  }

  get failure(): string | undefined {
    return this.#entry.slot.failure?.message;
  }

  get statistics(): InferenceStatistics {
    return this.#entry.stats.inference;
  }

  describe(): Promise<ModelDescription> {
    return this.#models.use(this.#entry, (model) => Promise.resolve(description(model)));
  }

  async infer(request: InferRequest, call: Call): Promise<InferAnswer> {
    const entry = this.#entry;
    const schedule = scheduleOf(request.parameters);
    let inputs: readonly NamedTensor[] = [];
    try {
      const result = await this.#models.use(entry, (model) => {
        inputs = 'raw' in request.inputs ? [rawInput(description(model), request.inputs.raw)] : request.inputs;
        return inferTensors(model, { inputs, outputs: request.outputs, isCancelled: () => call.cancelled, ...schedule });
      });
      this.#record(tensorsEntry(entry, inputs, result, call));
      call.timings.queueMs = result.queueMs;
      call.timings.inferenceMs = result.runMs;
      return { model: this.name, version: this.version, id: request.id, outputs: result.outputs };
    } catch (error) {
      this.#record(tensorsEntry(entry, inputs, toServerError(error), call));
      throw error;
    }
  }

  async load(): Promise<void> {
    await this.#models.load(`${this.name}:${this.version}`, 'model');
  }

  unload(): void {
    this.#entry.slot.unload().catch(() => {});
  }
}

function description({ table, manifest, backend }: LeasedModel): ModelDescription {
  return {
    platform: 'onnxruntime_onnx',
    backend: 'onnxruntime',
    inputs: table.inputs.map(({ field, datatype, shape, default: otherwise }) => {
      return { name: field, datatype, shape: sizes(shape ?? [-1]), optional: otherwise !== undefined };
    }),
    outputs: table.outputs.map(({ field, datatype, shape, when }) => {
      return { name: field, datatype, shape: sizes(shape), optional: when !== undefined };
    }),
    rowsMax: manifest.batching?.rowsMax ?? 0,
    batching: manifest.batching,
    instances: manifest.instances,
    provider: backend.description.provider,
  };
}

function sizes(shape: readonly Dimension[]): number[] {
  return shape.map((size) => (typeof size === 'number' ? size : -1));
}

/** The whole body is the only input: its shape follows from the length. Throws REQUEST_INVALID. */
function rawInput({ inputs, rowsMax }: ModelDescription, bytes: Uint8Array): NamedTensor {
  const [input] = inputs;
  if (input === undefined || inputs.length > 1) {
    throw new ServerError('REQUEST_INVALID', `A raw binary request needs a model with one input; this one has ${inputs.length}.`);
  }
  const { name, datatype } = input;
  // Its length is not told, so it is one element.
  if (datatype === 'string') return { name, tensor: { datatype, shape: input.shape.map(() => 1), data: [textOfBytes(bytes, name)] } };
  const shape = rawShape(input, rowsMax, bytes.byteLength / elementBytes(datatype)!);
  return { name, tensor: tensorOfBytes(bytes, shape, datatype, name) };
}

function rawShape({ name, shape }: TensorDescription, rowsMax: number, count: number): number[] {
  const open = shape.filter((size) => size < 0).length;
  // One row, unless the rows are all that is open.
  const given = shape.map((size, i) => (rowsMax > 0 && i === 0 && open > 1 ? 1 : size));
  if (given.filter((size) => size < 0).length > 1) {
    throw new ServerError('REQUEST_INVALID', `'${name}' has more than one open size, so raw bytes do not tell its shape.`, { field: name });
  }
  const known = given.reduce((product, size) => product * (size < 0 ? 1 : size), 1);
  return given.map((size) => (size < 0 ? Math.floor(count / Math.max(1, known)) : size));
}
