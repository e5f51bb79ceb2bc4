// Inferences told one by one, as JSON or with their outputs as raw data, and the load of a model as it goes on.
import { setImmediate } from 'node:timers/promises';
import { infer, inferEach, type InferRequest, type InferResult } from '../../engine/infer.ts';
import type { Fields } from '../../engine/infer-inputs.ts';
import { ServerError, toServerError } from '../../errors.ts';
import type { Call } from '../../operation.ts';
import { withFirst } from '../../operation/event-text.ts';
import type { StreamEvent } from '../../operation/events.ts';
import type { LeasedModel, TensorEntry } from '../../registry/tensor-models.ts';
import type { Tensor } from '../../tensor/dtypes.ts';
import { detailError } from '../detail-errors.ts';
import { bytesContentType } from '../vectors.ts';
import { batchTail, inferenceJson, inferenceTail } from './answers.ts';
import { historyEntry, orRecorded, type Recorder } from './record.ts';

/** A model that stays loaded until it is given back. */
export type Held = { readonly model: LeasedModel; release(): void };

/** What of a registry holds a model for the time of a promise. */
type Use = <Result>(entry: TensorEntry, work: (model: LeasedModel) => Promise<Result>) => Promise<Result>;

function hold(use: Use, entry: TensorEntry): Promise<Held> {
  return new Promise((resolve, reject) => {
    const work = (model: LeasedModel): Promise<void> => new Promise((release) => resolve({ model, release }));
    use(entry, work).catch(reject);
  });
}

/** `requests` may hold what is no object: that item gets its error, as any that cannot be run does. */
export async function* inferenceEvents(
  use: Use, entry: TensorEntry, requests: readonly unknown[], call: Call, record: Recorder,
): AsyncGenerator<readonly StreamEvent[], void> {
  const { version } = entry.files;
  const held = await orRecorded(hold(use, entry), entry, requests.filter(isFields), call, record);
  try {
    let failed = 0;
    const items = requests.map((fields): InferRequest | ServerError =>
      isFields(fields) ? { fields, givesMemory: true, isCancelled: () => call.cancelled } : notAnObject());
    for await (const { index, result } of inferEach(held.model, items)) {
      const fields = requests[index];
      if (isFields(fields)) record(historyEntry(entry, fields, result, call));
      if (result instanceof Error) failed += 1;
      yield [itemEvent(index, version, result, wantsRaw(call))];
    }
    const totalMs = performance.now() - call.startedMs;
    yield [{ event: 'summary', json: JSON.stringify({ version, ...batchTail(requests.length, failed, totalMs) }) }];
  } finally {
    held.release();
  }
}

/** One inference; it fails as the answer in one piece does. */
export async function* oneInferenceEvents(
  use: Use, entry: TensorEntry, fields: Fields, call: Call, record: Recorder,
): AsyncGenerator<readonly StreamEvent[], void> {
  const held = await orRecorded(hold(use, entry), entry, [fields], call, record);
  try {
    const request = { fields, givesMemory: true, isCancelled: () => call.cancelled };
    const outcome = await infer(held.model, request).catch(toServerError);
    record(historyEntry(entry, fields, outcome, call));
    if (outcome instanceof Error) throw outcome;
    Object.assign(call.timings, { queueMs: outcome.queueMs, inferenceMs: outcome.runMs });
    const { version } = entry.files;
    const totalMs = performance.now() - call.startedMs;
    yield [
      itemEvent(0, version, outcome, wantsRaw(call)),
      { event: 'summary', json: JSON.stringify({ version, ...batchTail(1, 0, totalMs) }) },
    ];
  } finally {
    held.release();
  }
}

/** Says that it goes on, unless it is over at once, and then what became of it. */
export async function* progressEvents(run: () => Promise<object>, status: string): AsyncGenerator<readonly StreamEvent[], void> {
  const running = run();
  const isOver = running.then(() => true);
  // What fails at once, a name that nothing has, is an error like any other.
  if (!(await Promise.race([isOver, setImmediate(false)]))) yield [{ event: 'progress', json: JSON.stringify({ status }) }];
  yield [{ event: 'summary', json: JSON.stringify(await running) }];
}

export function notAnObject(): ServerError {
  return new ServerError('REQUEST_INVALID', 'The item must be a JSON object.');
}

function wantsRaw(call: Call): boolean {
  return call.header('accept').split(';')[0]!.trim() === bytesContentType;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function itemEvent(index: number, version: string, result: InferResult | ServerError, isRaw: boolean): StreamEvent {
  if (result instanceof Error) return { event: 'item', json: `{"index":${index},"error":${detailError(result).body as string}}` };
  const first = `"index":${index}`;
  if (!isRaw) return { event: 'item', json: withFirst(first, inferenceJson(version, result)) };
  const data: Uint8Array[] = [];
  let offset = 0;
  const tensors = result.outputs.map(({ field, tensor }) => {
    const { datatype, shape } = tensor;
    const bytes = rawBytes(tensor);
    // Text has no size that a reader could know.
    if (bytes === undefined) return { name: field, datatype, shape, values: tensor.data };
    const described = { name: field, datatype, shape, offset, bytes: bytes.byteLength };
    // Each part starts where any element type may.
    const padding = (8 - (bytes.byteLength % 8)) % 8;
    data.push(bytes, ...(padding > 0 ? [new Uint8Array(padding)] : []));
    offset += bytes.byteLength + padding;
    return described;
  });
  return { event: 'item', json: JSON.stringify({ index, version, tensors, ...inferenceTail(result) }), data };
}

function rawBytes({ data }: Tensor): Uint8Array | undefined {
  return Array.isArray(data) ? undefined : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
