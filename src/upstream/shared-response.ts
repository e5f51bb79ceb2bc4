// One answer of the upstream for all who wait for it: read once, kept while it comes, given to each reader from its
// start. Invariants: it is read at the upstream's pace whatever the readers' is; nobody left means nobody reads on.
import type { UpstreamResponse } from './upstream.ts';

export class SharedResponse {
  readonly head: Promise<Omit<UpstreamResponse, 'body'>>;
  /** All bytes, or why there are not. */
  readonly whole: Promise<Buffer>;
  readonly #chunks: Uint8Array[] = [];
  readonly #abort = new AbortController();
  #isComplete = false;
  #error: unknown;
  #readers = 0;
  #wake: (() => void)[] = [];

  /** Asks at once. `open` is told to stop by its signal when the last reader has left. */
  constructor(open: (signal: AbortSignal) => Promise<UpstreamResponse>) {
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
      if (this.#readers === 0 && !this.#isComplete) this.#abort.abort();
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
        this.#chunks.push(chunk);
        this.#wakeReaders();
      }
      return Buffer.concat(this.#chunks);
    } catch (error) {
      this.#error = error;
      throw error;
    } finally {
      this.#isComplete = true;
      this.#wakeReaders();
    }
  }

  #wakeReaders(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
