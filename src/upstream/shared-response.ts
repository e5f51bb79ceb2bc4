// One answer of the upstream for all who wait for it: read once, kept while it comes, given to each reader from its
// start. Invariants: it is read at the upstream's pace whatever the readers' is, as far as the budget of all such answers
// goes; nobody left means nobody reads on.
import type { ByteBudget } from '../byte-budget.ts';
import { ServerError } from '../errors.ts';
import { upstreamRetryMs } from '../limits.ts';
import type { UpstreamResponse } from './upstream.ts';

export class SharedResponse {
  readonly head: Promise<Omit<UpstreamResponse, 'body'>>;
  /** All bytes, or why there are not. */
  readonly whole: Promise<Buffer>;
  readonly #chunks: Uint8Array[] = [];
  readonly #abort = new AbortController();
  readonly #budget: ByteBudget;
  /** Taken from the budget until nobody reads any more. */
  #heldBytes = 0;
  #isComplete = false;
  #error: unknown;
  #readers = 0;
  #wake: (() => void)[] = [];

  /**
   * Asks at once. `open` is told to stop by its signal when the last reader has left.
   * @param budget of the bytes that all such answers hold; OVERLOADED breaks this one off when they are spent
   */
  constructor(open: (signal: AbortSignal) => Promise<UpstreamResponse>, budget: ByteBudget) {
    this.#budget = budget;
    const opened = open(this.#abort.signal);
    this.head = opened.then(({ status, contentType, headers }) => ({ status, contentType, headers }));
    this.whole = this.#read(opened);
    // Readers hear of it from what they wait for; without any, nobody needs to.
    this.head.catch(() => {});
    this.whole.catch(() => {});
  }

  /** Counts one who waits until the returned function is called; calling that twice does no harm. */
  enter(): () => void {
    let isIn = true;
    this.#readers += 1;
    return () => {
      if (!isIn) return;
      isIn = false;
      this.#readers -= 1;
      if (this.#readers > 0) return;
      if (this.#isComplete) this.#release();
      else this.#abort.abort();
    };
  }

  /** Everybody left before its end: it comes to none, and nobody new may wait for it. */
  get isAbandoned(): boolean {
    return this.#abort.signal.aborted;
  }

  /** The bytes from the start as they come; throws what broke them off. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (let next = 0; ;) {
      while (next < this.#chunks.length) yield this.#chunks[next++]!;
      if (this.#isComplete) break;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    if (this.#error !== undefined) throw this.#error;
  }

  async #read(opened: Promise<UpstreamResponse>): Promise<Buffer> {
    try {
      const { body } = await opened;
      for await (const chunk of body) {
        this.#take(chunk.length);
        this.#chunks.push(chunk);
        this.#wakeReaders();
      }
      return Buffer.concat(this.#chunks);
    } catch (error) {
      this.#error = error;
      throw error;
    } finally {
      this.#isComplete = true;
      if (this.#readers === 0) this.#release();
      this.#wakeReaders();
    }
  }

  #take(bytes: number): void {
    if (!this.#budget.take(bytes)) {
      throw new ServerError('OVERLOADED', 'The server holds too many answers of the upstream.', { retryAfterMs: upstreamRetryMs });
    }
    this.#heldBytes += bytes;
  }

  #release(): void {
    this.#budget.give(this.#heldBytes);
    this.#heldBytes = 0;
  }

  #wakeReaders(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
