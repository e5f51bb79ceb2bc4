// The rows of one request as their batches end. The inputs go to the batcher a slice at a time, so a reader that does
// not read holds back its own computation and no more than a window of rows.
import type { Embedded, Waiter } from '../batch/job.ts';
import { streamAheadInputs, streamGroupRows, streamSliceInputs } from '../limits.ts';

export type StreamedRow = {
  readonly index: number;
  /** A view: read, never written. */
  readonly row: Float32Array;
  /** Tokens before truncation, and those kept; special tokens included. */
  readonly tokensGiven: number;
  readonly tokensKept: number;
};

/** What one slice took. */
export type SliceTimes = Pick<Embedded, 'queueMs' | 'tokenizeMs' | 'inferenceMs'>;

/** Embeds the inputs from `from` to before `to`, telling `waiter` of each by its index within them. */
export type ComputeSlice = (from: number, to: number, waiter: Waiter) => Promise<SliceTimes>;

/**
 * Rows that are there at the same time come together, up to a group, in any order; returns what they took. Throws what a slice
 * throws, at once. After `return` the rest is not computed.
 */
export async function* streamRows(
  count: number, compute: ComputeSlice, reader: Waiter,
): AsyncGenerator<readonly StreamedRow[], SliceTimes> {
  const slices = new Slices(count, compute, reader);
  try {
    for (;;) {
      slices.handOver();
      if (slices.error !== undefined) throw slices.error;
      const rows = slices.take();
      if (rows.length > 0) yield rows;
      else if (slices.isDone) return slices.times;
      else await slices.changed();
    }
  } finally {
    slices.isClosed = true;
  }
}

class Slices {
  readonly times = { queueMs: 0, tokenizeMs: 0, inferenceMs: 0 };
  isClosed = false;
  error: unknown;
  readonly #count: number;
  readonly #compute: ComputeSlice;
  readonly #reader: Waiter;
  /** From `#head` on: not taken yet. */
  #ready: StreamedRow[] = [];
  #head = 0;
  #handed = 0;
  #taken = 0;
  #running = 0;
  #wake: (() => void) | undefined;

  constructor(count: number, compute: ComputeSlice, reader: Waiter) {
    this.#count = count;
    this.#compute = compute;
    this.#reader = reader;
  }

  get isDone(): boolean {
    return this.#taken === this.#count && this.#running === 0;
  }

  /** Few at a time: what is made of them takes the event loop's time and, until it is read, memory. */
  take(): readonly StreamedRow[] {
    const rows = this.#ready.slice(this.#head, this.#head + streamGroupRows);
    this.#taken += rows.length;
    this.#head += rows.length;
    if (this.#head === this.#ready.length) {
      this.#ready = [];
      this.#head = 0;
    }
    return rows;
  }

  /** As many slices as the window takes. */
  handOver(): void {
    while (this.#handed < this.#count && this.#handed - this.#taken + streamSliceInputs <= streamAheadInputs) {
      const from = this.#handed;
      this.#handed = Math.min(this.#count, from + streamSliceInputs);
      void this.#run(from, this.#handed);
    }
  }

  changed(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  async #run(from: number, to: number): Promise<void> {
    this.#running += 1;
    try {
      const { queueMs, tokenizeMs, inferenceMs } = await this.#compute(from, to, this.#waiter(from));
      // A slice that was known waited for nobody.
      if (inferenceMs > 0) this.times.queueMs = this.times.inferenceMs === 0 ? queueMs : Math.min(this.times.queueMs, queueMs);
      this.times.tokenizeMs += tokenizeMs;
      this.times.inferenceMs += inferenceMs;
    } catch (error) {
      this.error ??= error;
    }
    this.#running -= 1;
    this.#wake?.();
  }

  #waiter(from: number): Waiter {
    const isOver = (): boolean => this.isClosed || this.#reader.cancelled;
    const { deadlineMs, batchInputsMax } = this.#reader;
    return {
      ...(deadlineMs !== undefined && { deadlineMs }),
      batchInputsMax,
      get cancelled() {
        return isOver();
      },
      completed: (index, row, tokensGiven, tokensKept) => {
        this.#ready.push({ index: from + index, row, tokensGiven, tokensKept });
        this.#wake?.();
      },
    };
  }
}
