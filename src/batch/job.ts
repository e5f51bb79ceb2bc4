// One request's inputs on their way through the batcher: what has come back, and who waits for it.
import type { EmbedReply } from '../backend/protocol.ts';
import { ServerError } from '../errors.ts';

/**
 * Vectors in request order. `rows` are views of transferred batch buffers or of cached vectors: read, never written.
 * Those of watched inputs that were dropped are missing.
 */
export type Embedded = {
  readonly rows: readonly Float32Array[];
  /** Tokens of each input before truncation, and those kept; special tokens included. */
  readonly tokensGiven: Int32Array;
  readonly tokensKept: Int32Array;
  /** Wait until the first input ran. */
  readonly queueMs: number;
  /** Worker time of the batches that carried this request; batches on two workers add up. */
  readonly tokenizeMs: number;
  readonly inferenceMs: number;
  /** Batches that carried inputs of this request. */
  readonly batches: number;
};

/** Who waits for a job. */
export type Waiter = {
  /** True once nobody does. */
  readonly cancelled: boolean;
  /** By `performance.now()`: nobody does after that. */
  readonly deadlineMs?: number;
  /** Inputs that may share a batch with one of these. */
  readonly batchInputsMax?: number | undefined;
  /** Told of each input as its batch ends, before the whole job does; `row` is a view, as in Embedded. */
  completed?(index: number, row: Float32Array, tokensGiven: number, tokensKept: number): void;
  /** Told of each input that has gone to a worker, and runs whatever happens. */
  started?(): void;
};

/** Follows each input of a job by itself, where several requests may wait for one. Replaces the waiter's word. */
export type InputWatcher = {
  /** False once it need not run: nobody waits for it, or somebody else computes it. */
  isWanted(index: number): boolean;
  /** By `performance.now()`: nobody waits for it after that; undefined for no end. */
  deadlineMs(index: number): number | undefined;
  /** It has gone to a worker, and runs whatever happens. */
  started(index: number): void;
  /** `row` is a view of a batch's buffer: read, and copied by whoever keeps it. */
  completed(index: number, row: Float32Array, tokensGiven: number, tokensKept: number): void;
  /** It was not wanted when its turn came, and will not run. */
  dropped(index: number): void;
};

export class EmbedJob {
  readonly result: Promise<Embedded>;
  readonly #waiter: Waiter;
  readonly #watcher: InputWatcher | undefined;
  readonly #queuedMs = performance.now();
  readonly #rows: Float32Array[];
  readonly #tokensGiven: Int32Array;
  readonly #tokensKept: Int32Array;
  #remaining: number;
  #startedMs: number | undefined;
  #tokenizeMs = 0;
  #inferenceMs = 0;
  #batches = 0;
  #settled = false;
  #resolve!: (embedded: Embedded) => void;
  #reject!: (error: ServerError) => void;

  constructor(count: number, waiter: Waiter, watcher?: InputWatcher) {
    this.#waiter = waiter;
    this.#watcher = watcher;
    this.#remaining = count;
    this.#rows = new Array<Float32Array>(count);
    this.#tokensGiven = new Int32Array(count);
    this.#tokensKept = new Int32Array(count);
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** True once input `index` need not run: the client left, the deadline passed, or a batch failed. */
  hasEnded(index: number): boolean {
    return this.#settled || (this.#watcher === undefined ? this.#waiter.cancelled : !this.#watcher.isWanted(index));
  }

  /** By `performance.now()`: nobody waits for input `index` after that. */
  deadlineMs(index: number): number {
    return (this.#watcher === undefined ? this.#waiter.deadlineMs : this.#watcher.deadlineMs(index)) ?? Infinity;
  }

  get batchInputsMax(): number {
    return this.#waiter.batchInputsMax ?? Infinity;
  }

  get queuedMs(): number {
    return this.#queuedMs;
  }

  started(index: number, nowMs: number): void {
    this.#startedMs ??= nowMs;
    if (this.#watcher === undefined) this.#waiter.started?.();
    else this.#watcher.started(index);
  }

  /** Takes row `row` of a batch reply as the result of input `index`. */
  complete(index: number, reply: EmbedReply, row: number, dimension: number): void {
    if (this.#settled) return;
    this.#rows[index] = reply.rows.subarray(row * reply.stride, row * reply.stride + (dimension || reply.stride));
    this.#tokensGiven[index] = reply.tokensGiven[row]!;
    this.#tokensKept[index] = reply.tokensKept[row]!;
    this.#remaining -= 1;
    const follower = this.#watcher ?? this.#waiter;
    follower.completed?.(index, this.#rows[index], reply.tokensGiven[row]!, reply.tokensKept[row]!);
  }

  /** Input `index` left the queue without running. A watched job goes on with the others, which may be wanted. */
  dropped(index: number): void {
    if (this.#watcher === undefined) return this.fail(new ServerError('CANCELLED'));
    if (this.#settled) return;
    this.#remaining -= 1;
    this.#watcher.dropped(index);
    this.#finish();
  }

  /** After all rows of one batch reply were taken. */
  batchEnded(reply: EmbedReply): void {
    this.#tokenizeMs += reply.tokenizeMs;
    this.#inferenceMs += reply.runMs;
    this.#batches += 1;
    this.#finish();
  }

  #finish(): void {
    if (this.#settled || this.#remaining > 0) return;
    this.#settled = true;
    this.#resolve({
      rows: this.#rows,
      tokensGiven: this.#tokensGiven,
      tokensKept: this.#tokensKept,
      queueMs: (this.#startedMs ?? performance.now()) - this.#queuedMs,
      tokenizeMs: this.#tokenizeMs,
      inferenceMs: this.#inferenceMs,
      batches: this.#batches,
    });
  }

  /** Ends the job without a result; the first call decides. */
  fail(error: ServerError): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#reject(error);
  }
}
