// What the inference history is told of a request: names, shapes and figures, never data.
import type { Fields } from '../../engine/infer-inputs.ts';
import type { NamedTensor, TensorsResult } from '../../engine/infer-tensors.ts';
import type { InferResult } from '../../engine/infer.ts';
import { toServerError, type ServerError } from '../../errors.ts';
import type { HistoryEntry } from '../../history/row.ts';
import type { Call } from '../../operation.ts';
import type { TensorEntry } from '../../registry/tensor-models.ts';

/** Takes a row; never throws and never waits. */
export type Recorder = (entry: HistoryEntry) => void;

const dimensionsMax = 8;

export function historyEntry(model: TensorEntry, fields: Fields, outcome: InferResult | ServerError, call: Call): HistoryEntry {
  return entryOf(model, inputShapes(fields), outcome, call);
}

/** What `using` resolves with. When it rejects, since the model cannot be had, each request has a row of that. */
export async function orRecorded<Used>(
  using: Promise<Used>, model: TensorEntry, requests: readonly Fields[], call: Call, record: Recorder,
): Promise<Used> {
  return using.catch((error: unknown) => {
    for (const fields of requests) record(historyEntry(model, fields, toServerError(error), call));
    throw error;
  });
}

/** Of a request whose inputs are tensors already. */
export function tensorsEntry(
  model: TensorEntry, inputs: readonly NamedTensor[], outcome: TensorsResult | ServerError, call: Call,
): HistoryEntry {
  const shapes = inputs.map(({ name, tensor }) => ({ name, shape: tensor.shape, datatype: tensor.datatype }));
  return entryOf(model, shapes, outcome, call);
}

function entryOf(
  { files }: TensorEntry, inputs: NonNullable<HistoryEntry['inputs']>, outcome: InferResult | TensorsResult | ServerError, call: Call,
): HistoryEntry {
  const common = { version: files.version, model: files.name, requestId: call.requestId, caller: call.caller.name, inputs };
  if (outcome instanceof Error) return { ...common, errorCode: outcome.code };
  return {
    ...common,
    inferenceMs: outcome.runMs,
    compressionRatio: outcome.metrics.get('compression_ratio'),
    predictedQuality: outcome.metrics.get('predicted_quality'),
    metrics: Object.fromEntries(outcome.metrics),
  };
}

/** By the first element of each level: the request was checked, or was refused for not being so. */
function inputShapes(fields: Fields): { name: string; shape: number[] }[] {
  return Object.entries(fields).flatMap(([name, value]) => {
    if (!Array.isArray(value)) return [];
    const shape: number[] = [];
    for (let at: unknown = value; Array.isArray(at) && shape.length < dimensionsMax; at = at[0]) shape.push(at.length);
    return [{ name, shape }];
  });
}
