// One request's inputs on their way through the batcher: what has come back, and who waits for it.
import type { EmbedReply } from '../backend/protocol.ts';
import { ServerError } from '../errors.ts';

/** Vectors in request order. `rows` are views of transferred batch buffers: read, never written. */
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
};

/** Who waits for a job: true once nobody does. */
export type Waiter = { readonly cancelled: boolean };

export class EmbedJob {
  readonly result: Promise<Embedded>;
  readonly #waiter: Waiter;
  readonly #queuedMs = performance.now();
  readonly #rows: Float32Array[];
  readonly #tokensGiven: Int32Array;
  readonly #tokensKept: Int32Array;
  #remaining: number;
  #startedMs: number | undefined;
  #tokenizeMs = 0;
  #inferenceMs = 0;
  #settled = false;
  #resolve!: (embedded: Embedded) => void;
  #reject!: (error: ServerError) => void;

  constructor(count: number, waiter: Waiter) {
    this.#waiter = waiter;
    this.#remaining = count;
    this.#rows = new Array<Float32Array>(count);
    this.#tokensGiven = new Int32Array(count);
    this.#tokensKept = new Int32Array(count);
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** True once its remaining inputs need not run: the client left, the deadline passed, or a batch failed. */
  get ended(): boolean {
    return this.#settled || this.#waiter.cancelled;
  }

  get queuedMs(): number {
    return this.#queuedMs;
  }

  started(nowMs: number): void {
    this.#startedMs ??= nowMs;
  }

  /** Takes row `row` of a batch reply as the result of input `index`. */
  complete(index: number, reply: EmbedReply, row: number, dimension: number): void {
    if (this.#settled) return;
    this.#rows[index] = reply.rows.subarray(row * reply.stride, row * reply.stride + (dimension || reply.stride));
    this.#tokensGiven[index] = reply.tokensGiven[row]!;
    this.#tokensKept[index] = reply.tokensKept[row]!;
    this.#remaining -= 1;
  }

  /** After all rows of one batch reply were taken. */
  batchEnded(reply: EmbedReply): void {
    this.#tokenizeMs += reply.tokenizeMs;
    this.#inferenceMs += reply.runMs;
    if (this.#settled || this.#remaining > 0) return;
    this.#settled = true;
    this.#resolve({
      rows: this.#rows,
      tokensGiven: this.#tokensGiven,
      tokensKept: this.#tokensKept,
      queueMs: this.#startedMs! - this.#queuedMs,
      tokenizeMs: this.#tokenizeMs,
      inferenceMs: this.#inferenceMs,
    });
  }

  /** Ends the job without a result; the first call decides. */
  fail(error: ServerError): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#reject(error);
  }
}
