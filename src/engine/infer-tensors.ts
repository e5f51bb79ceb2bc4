// Inference on one tensor model: tensors in, tensors out, all under the names of the manifest.
import { ServerError } from '../errors.ts';
import type { TensorOutput } from '../registry/tensor-manifest.ts';
import type { LeasedModel } from '../registry/tensor-models.ts';
import { copyTensor, elementNumber, type Tensor } from '../tensor/dtypes.ts';
import { fitShape, type BoundDimensions } from '../tensor/shapes.ts';
import { wireType } from '../tensor/wire.ts';
import { checkRange } from './infer-inputs.ts';
import { countFailure, countSuccess, type Outcome } from './infer-statistics.ts';

export type NamedTensor = { readonly name: string; readonly tensor: Tensor };

export type TensorsRequest = {
  /** The engine takes their memory. */
  readonly inputs: readonly NamedTensor[];
  /** Names of outputs; undefined gives all that need not be asked for. */
  readonly outputs?: readonly string[] | undefined;
  /** Asked before the run starts: true drops it. */
  readonly isCancelled: () => boolean;
  /** 1 runs first; for models that batch. */
  readonly priority?: number | undefined;
  /** How long the request may wait for its run. */
  readonly queueMsMax?: number | undefined;
};

export type TensorsResult = Outcome & {
  /** In the order asked for; the caller's. */
  readonly outputs: readonly NamedTensor[];
  /** The outputs that say something about the run, by name. */
  readonly metrics: ReadonlyMap<string, number>;
};

/** Throws REQUEST_INVALID naming the input or output, TIMEOUT after `queueMsMax`, and what the backend throws. */
export async function inferTensors(model: LeasedModel, request: TensorsRequest): Promise<TensorsResult> {
  const startedMs = performance.now();
  try {
    const wanted = wantedOutputs(model, request.outputs);
    const inputs = checkedInputs(model, request.inputs);
    const rows = model.manifest.batching === undefined ? 1 : (inputs[0]?.[1].shape[0] ?? 1);
    const checkedMs = performance.now();
    const result = await model.backend.run({
      inputs,
      outputs: wanted.map(({ name }) => name),
      isCancelled: request.isCancelled,
      priority: request.priority,
      deadlineMs: request.queueMsMax === undefined ? undefined : startedMs + request.queueMsMax,
    });
    const outputs = wanted.map(({ field }, i) => ({ name: field, tensor: result.outputs[i]![1] }));
    const metrics = metricsOf(wanted, outputs);
    countSuccess(model.stats, result, { startedMs, checkedMs, rows, metrics });
    return { outputs, metrics, queueMs: result.queueMs, runMs: result.runMs };
  } catch (error) {
    countFailure(model.stats, error, startedMs);
    throw error;
  }
}

function wantedOutputs(model: LeasedModel, names: readonly string[] | undefined): readonly TensorOutput[] {
  const { outputs } = model.table;
  if (names === undefined || names.length === 0) return outputs.filter(({ when }) => when === undefined);
  return names.map((name, i) => {
    const output = outputs.find(({ field }) => field === name);
    if (output === undefined) throw invalid(name, `is no output of this model; it gives ${listed(outputs)}`);
    if (names.indexOf(name) !== i) throw invalid(name, 'is asked for twice');
    return output;
  });
}

function checkedInputs(model: LeasedModel, given: readonly NamedTensor[]): (readonly [string, Tensor])[] {
  const { inputs } = model.table;
  const byName = new Map<string, Tensor>();
  for (const { name, tensor } of given) {
    if (!inputs.some(({ field }) => field === name)) throw invalid(name, `is no input of this model; it takes ${listed(inputs)}`);
    if (byName.has(name)) throw invalid(name, 'is given twice');
    byName.set(name, tensor);
  }
  const bound: BoundDimensions = new Map();
  return inputs.map((input) => {
    const { field, datatype, shape, range } = input;
    const tensor = byName.get(field);
    if (tensor === undefined) {
      if (input.default !== undefined) return [input.name, copyTensor(input.default)] as const;
      throw invalid(field, 'is missing');
    }
    if (tensor.datatype !== datatype) throw invalid(field, `is ${wireType(tensor.datatype)}; the model takes ${wireType(datatype)}`);
    // An empty list where nothing is the default: nothing was given.
    if (tensor.data.length === 0 && input.default?.data.length === 0) return [input.name, copyTensor(input.default)] as const;
    if (shape !== undefined) fitShape(shape, tensor.shape, field, bound);
    if (range !== undefined) checkRange(tensor, range, (index) => `${field}[${index}]`);
    return [input.name, tensor] as const;
  });
}

function metricsOf(wanted: readonly TensorOutput[], outputs: readonly NamedTensor[]): Map<string, number> {
  const metrics = new Map<string, number>();
  wanted.forEach(({ field, metric }, i) => {
    const { tensor } = outputs[i]!;
    if (metric !== undefined && tensor.data.length === 1) metrics.set(field, elementNumber(tensor, 0));
  });
  return metrics;
}

function listed(entries: readonly { readonly field: string }[]): string {
  return entries.map(({ field }) => `'${field}'`).join(', ');
}

function invalid(field: string, reason: string): ServerError {
  return new ServerError('REQUEST_INVALID', `'${field.slice(0, 80)}' ${reason}.`, { field });
}
