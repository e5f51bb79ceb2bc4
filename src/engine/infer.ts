// Inference on one tensor model: fields in, outputs and metrics out.
import { ServerError, toServerError } from '../errors.ts';
import type { TensorOutput } from '../registry/tensor-manifest.ts';
import type { LeasedModel } from '../registry/tensor-models.ts';
import { elementNumber, type Tensor } from '../tensor/dtypes.ts';
import { fieldOf, flagOf, readInputs, type Fields } from './infer-inputs.ts';
import { countFailure, countSuccess } from './infer-statistics.ts';

export type InferRequest = {
  /**
   * The model's inputs by field: nested lists, `{shape, data}` with a flat list, or `{shape, data}` with raw
   * values as base64 text or bytes; besides them `version`, `return_metrics`, and the flags of the manifest.
   */
  readonly fields: Fields;
  /** Whether raw bytes among the fields are the model's to keep: then they go to it as they lie, else in a copy. */
  readonly givesMemory?: boolean;
  /** Asked before the run starts: true drops it. */
  readonly isCancelled: () => boolean;
};

export type InferResult = {
  /** Without metrics, in the manifest's order; the caller's. */
  readonly outputs: readonly { readonly field: string; readonly tensor: Tensor }[];
  /** All metrics by field; not finite where the model gave nothing better. */
  readonly metrics: ReadonlyMap<string, number>;
  readonly returnMetrics: boolean;
  readonly queueMs: number;
  readonly runMs: number;
};

/** Throws REQUEST_INVALID or INPUT_TOO_LONG naming the field, and what the backend throws. */
export async function infer(model: LeasedModel, request: InferRequest): Promise<InferResult> {
  const startedMs = performance.now();
  try {
    return await run(model, request, startedMs);
  } catch (error) {
    countFailure(model.stats, error, startedMs);
    throw error;
  }
}

/**
 * Every request's result, or its error, in its place. Only so many are handed over at once as the model can
 * run, so that a long batch leaves room for others.
 */
export async function inferBatch(
  model: LeasedModel,
  requests: readonly InferRequest[],
): Promise<(InferResult | ServerError)[]> {
  const results: (InferResult | ServerError)[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < requests.length; i = next++) {
      results[i] = await infer(model, requests[i]!).catch(toServerError);
    }
  };
  // One more than can run, so that no worker waits for the event loop.
  await Promise.all(Array.from({ length: model.backend.concurrency + 1 }, work));
  return results;
}

/**
 * The same one by one as they end; a ServerError among the requests is its own result. No more is computed ahead of
 * the reader than is handed over at once. What has started when the reader leaves goes on.
 */
export async function* inferEach(
  model: LeasedModel,
  requests: readonly (InferRequest | ServerError)[],
): AsyncGenerator<{ readonly index: number; readonly result: InferResult | ServerError }, void> {
  const running = new Map<number, Promise<{ index: number; result: InferResult | ServerError }>>();
  for (let next = 0; ; ) {
    for (; next < requests.length && running.size <= model.backend.concurrency; next++) {
      const index = next;
      const request = requests[index]!;
      const answered = request instanceof Error ? Promise.resolve(request) : infer(model, request).catch(toServerError);
      running.set(index, answered.then((result) => ({ index, result })));
    }
    if (running.size === 0) return;
    const ended = await Promise.race(running.values());
    running.delete(ended.index);
    yield ended;
  }
}

async function run(
  { files, table, backend, stats }: LeasedModel,
  { fields, givesMemory = false, isCancelled }: InferRequest,
  startedMs: number,
): Promise<InferResult> {
  checkVersion(fieldOf(fields, 'version'), files.version);
  const returnMetrics = flagOf(fields, 'return_metrics', true);
  const wanted = table.outputs.filter(({ when }) => when === undefined || flagOf(fields, when, false));
  const inputs = readInputs(table.inputs, fields, givesMemory);
  const checkedMs = performance.now();
  const result = await backend.run({
    inputs,
    outputs: wanted.map(({ name }) => name),
    isCancelled,
  });
  const { outputs, queueMs, runMs } = result;
  const tensors = new Map(outputs);
  const metrics = new Map<string, number>();
  const answered: { field: string; tensor: Tensor }[] = [];
  for (const output of wanted) {
    const tensor = tensors.get(output.name)!;
    if (output.metric === undefined) answered.push({ field: output.field, tensor });
    else metrics.set(output.field, metricValue(output, tensor));
  }
  countSuccess(stats, result, { startedMs, checkedMs, rows: 1, metrics });
  return { outputs: answered, metrics, returnMetrics, queueMs, runMs };
}

/** The path chooses the model; a body that says otherwise is a mistake that an answer would hide. */
function checkVersion(given: unknown, version: string): void {
  if (given === undefined || given === version) return;
  throw new ServerError('REQUEST_INVALID', `'version' must be "${version}" as in the path, or absent.`, {
    field: 'version',
  });
}

function metricValue({ field }: TensorOutput, tensor: Tensor): number {
  if (tensor.data.length !== 1)
    throw new ServerError('BACKEND_FAILED', `The model gave no single number for '${field}'.`);
  return elementNumber(tensor, 0);
}
