// Lets requests of one tensor model share runs. Stands in front of a backend and is one itself; decides nothing:
// tensor-batch.ts does.
// Invariants: no more runs go on than the backend has workers; what has started is never dropped; each request is
// answered once.
import { queueTimeout, type TensorBackend, type TensorResult, type TensorRun } from '../backend/tensor-backend.ts';
import type { NamedTensors, TensorDescription } from '../backend/tensor-protocol.ts';
import { ServerError, toServerError } from '../errors.ts';
import { retryAfterMsMin, tensorQueueBytesMax, tensorQueueTasksMax } from '../limits.ts';
import type { Tensor } from '../tensor/dtypes.ts';
import { joinRows, splitRows } from '../tensor/rows.ts';
import { chooseBatch, placeOf, type BatchPolicy, type Candidate } from './tensor-batch.ts';

type Waiting = Candidate & {
  readonly run: TensorRun;
  readonly bytes: number;
  readonly resolve: (result: TensorResult) => void;
  readonly reject: (error: ServerError) => void;
};

export class TensorBatcher implements TensorBackend {
  readonly #backend: TensorBackend;
  readonly #policy: BatchPolicy;
  readonly #queue: Waiting[] = [];
  #queuedBytes = 0;
  #running = 0;
  #isScheduled = false;
  #isClosing = false;
  #timer: NodeJS.Timeout | undefined;
  #onIdle: (() => void) | undefined;

  constructor(backend: TensorBackend, policy: BatchPolicy) {
    this.#backend = backend;
    this.#policy = policy;
  }

  get description(): TensorDescription {
    return this.#backend.description;
  }

  /** Requests that may run at the same time. */
  get concurrency(): number {
    return this.#backend.concurrency * this.#policy.rowsMax;
  }

  get pending(): number {
    return this.#queue.length + this.#running;
  }

  /** Throws REQUEST_INVALID for inputs whose first sizes differ or exceed a run, and for a priority out of range. */
  run(run: TensorRun): Promise<TensorResult> {
    if (this.#isClosing) return Promise.reject(new ServerError('MODEL_NOT_READY', 'The model is being unloaded.'));
    const bytes = run.inputs.reduce((sum, [, { data }]) => sum + (Array.isArray(data) ? data.length : data.byteLength), 0);
    const isFull = this.#queue.length > 0 && this.#queuedBytes + bytes > tensorQueueBytesMax;
    if (isFull || this.#queue.length >= tensorQueueTasksMax) {
      return Promise.reject(new ServerError('QUEUE_FULL', 'Too many inferences wait for this model.', { retryAfterMs: retryAfterMsMin }));
    }
    return new Promise((resolve, reject) => {
      const rows = rowsOf(run.inputs, this.#policy.rowsMax);
      const priority = this.#priority(run.priority);
      const waiting = { run, bytes, rows, kind: kindOf(run), priority, queuedMs: performance.now(), resolve, reject };
      this.#queue.splice(placeOf(priority, this.#queue), 0, waiting);
      this.#queuedBytes += bytes;
      this.#schedule();
    });
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#schedule();
    if (this.pending > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    clearTimeout(this.#timer);
    await this.#backend.close();
  }

  #priority(wanted: number | undefined): number {
    if (wanted === undefined || wanted === 0) return this.#policy.defaultPriority;
    if (wanted >= 1 && wanted <= this.#policy.priorityLevels) return wanted;
    const detail = `'priority' must be from 1 to ${this.#policy.priorityLevels} for this model.`;
    throw new ServerError('REQUEST_INVALID', detail, { field: 'priority' });
  }

  /** Once a turn of the event loop: requests that arrived together then run together. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    const nowMs = performance.now();
    this.#dropEnded(nowMs);
    let wakeMs = Infinity;
    while (this.#queue.length > 0 && this.#running < this.#backend.concurrency) {
      // On the way out nobody else comes, so there is nothing to wait for.
      const choice = chooseBatch(this.#queue, this.#isClosing ? { ...this.#policy, queueDelayMs: 0 } : this.#policy, nowMs);
      if ('waitUntilMs' in choice) {
        wakeMs = choice.waitUntilMs;
        break;
      }
      void this.#start(this.#take(choice.take));
    }
    for (const { run } of this.#queue) wakeMs = Math.min(wakeMs, run.deadlineMs ?? Infinity);
    clearTimeout(this.#timer);
    if (wakeMs < Infinity) this.#timer = setTimeout(() => this.#dispatch(), Math.max(1, Math.ceil(wakeMs - nowMs)));
    if (this.pending === 0) this.#onIdle?.();
  }

  #dropEnded(nowMs: number): void {
    const isLate = ({ run }: Waiting): boolean => nowMs > (run.deadlineMs ?? Infinity);
    const ended = [...this.#queue.keys()].filter((i) => this.#queue[i]!.run.isCancelled() || isLate(this.#queue[i]!));
    for (const waiting of this.#take(ended)) waiting.reject(isLate(waiting) ? queueTimeout() : new ServerError('CANCELLED'));
  }

  /** In the order of the queue; `indexes` rise. */
  #take(indexes: readonly number[]): Waiting[] {
    const taken = indexes.map((index) => this.#queue[index]!);
    for (const index of indexes.toReversed()) this.#queue.splice(index, 1);
    for (const { bytes } of taken) this.#queuedBytes -= bytes;
    return taken;
  }

  async #start(batch: readonly Waiting[]): Promise<void> {
    this.#running += 1;
    await this.#run(batch);
    this.#running -= 1;
    this.#dispatch();
  }

  /** What the model refuses may be one request's fault: then each runs again by itself. Never rejects. */
  async #run(batch: readonly Waiting[]): Promise<void> {
    const startedMs = performance.now();
    let result: TensorResult | ServerError;
    try {
      result = await this.#backend.run(joined(batch));
    } catch (error) {
      result = toServerError(error);
    }
    if (result instanceof ServerError && result.code === 'BACKEND_FAILED' && batch.length > 1) {
      for (const waiting of batch) await this.#run([waiting]);
    } else {
      answer(batch, result, startedMs);
    }
  }
}

function answer(batch: readonly Waiting[], result: TensorResult | ServerError, startedMs: number): void {
  try {
    if (result instanceof ServerError) throw result;
    const { outputs, queueMs, runMs } = result;
    const rows = batch.map((waiting) => waiting.rows);
    const parts = split(outputs, rows);
    const batchRows = rows.reduce((sum, count) => sum + count, 0);
    batch.forEach(({ queuedMs, resolve }, i) => {
      const own = { outputs: parts[i]!, queueMs: startedMs - queuedMs + queueMs, runMs };
      resolve(i === 0 ? { ...own, batchRows } : own);
    });
  } catch (error) {
    for (const { reject } of batch) reject(toServerError(error));
  }
}

function rowsOf(inputs: NamedTensors, rowsMax: number): number {
  const rows = inputs[0]?.[1].shape[0] ?? 1;
  for (const [name, { shape }] of inputs) {
    if (shape[0] === rows) continue;
    throw new ServerError('REQUEST_INVALID', `'${name}' has ${shape[0] ?? 'no'} rows, and another input has ${rows}.`, { field: name });
  }
  if (rows >= 1 && rows <= rowsMax) return rows;
  const field = inputs[0]![0];
  throw new ServerError('REQUEST_INVALID', `'${field}' has ${rows} rows; the model takes 1 to ${rowsMax} in one request.`, { field });
}

function kindOf({ inputs, outputs }: TensorRun): string {
  return JSON.stringify([inputs.map(([name, { shape }]) => [name, ...shape.slice(1)]), outputs]);
}

/** A request alone goes as it is, in its own memory. */
function joined(batch: readonly Waiting[]): TensorRun {
  const { run } = batch[0]!;
  // Each was looked at when the batch was chosen; from here on it runs.
  const isCancelled = (): boolean => false;
  if (batch.length === 1) return { inputs: run.inputs, outputs: run.outputs, isCancelled };
  const inputs = run.inputs.map(([name], i) => [name, joinRows(batch.map((waiting) => waiting.run.inputs[i]![1]))] as const);
  return { inputs, outputs: run.outputs, isCancelled };
}

/** Each request's share of the outputs. Throws BACKEND_FAILED for a model whose outputs do not have a row for each row. */
function split(outputs: NamedTensors, rows: readonly number[]): NamedTensors[] {
  if (rows.length === 1) return [outputs];
  const total = rows.reduce((sum, count) => sum + count, 0);
  const parts: (readonly [string, Tensor])[][] = rows.map(() => []);
  for (const [name, tensor] of outputs) {
    if (tensor.shape[0] !== total) {
      throw new ServerError('BACKEND_FAILED', `The model gave ${tensor.shape[0] ?? 'no'} rows of '${name}' for ${total}, so its requests cannot be batched.`);
    }
    splitRows(tensor, rows).forEach((part, i) => parts[i]!.push([name, part]));
  }
  return parts;
}
