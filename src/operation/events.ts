// One call told part by part: items as soon as each is done, then a summary. Written once by a surface, carried by
// every transport: WebSocket messages, server-sent events, lines of JSON.
// Invariants: its end is told once, whatever it is; after an error or `close` nothing more comes.
import { ServerError, toServerError } from '../errors.ts';
import type { Call } from '../operation.ts';

export type StreamEvent = {
  /** `summary` is the last one, and there is one unless the call fails. */
  readonly event: 'item' | 'progress' | 'summary';
  /** A JSON object as text, in UTF-8 where it is bytes. */
  readonly json: string | Uint8Array;
  /** Raw data that `json` describes, little-endian, one part after another; the event's own. */
  readonly data?: readonly Uint8Array[];
};

/** The streaming form of an operation. */
export type Streams<In> = {
  /** Whether an HTTP request asked for it. WebSocket always takes it. */
  wanted(input: In, call: Call): boolean;
  /**
   * As `run`, throwing what it throws. Events that are done at the same time come together. It is pulled as the
   * client takes them, and runs only so far ahead as its owner can hold.
   */
  events(input: In, call: Call): AsyncIterable<readonly StreamEvent[]>;
  /** The call's timeout is for the first events only: the others take as long as who makes them elsewhere takes. */
  readonly isOpenEnded?: boolean;
};

export class EventStream {
  /** Told once, but for an error of `begin`. */
  ended: ((error: ServerError | undefined) => void) | undefined;
  readonly #call: Call;
  readonly #events: AsyncIterator<readonly StreamEvent[]>;
  readonly #timer: NodeJS.Timeout;
  readonly #isOpenEnded: boolean;
  #hasEnded = false;
  #expired: ServerError | undefined;
  /** Ends the wait for the next events. */
  #onExpired: ((error: ServerError) => void) | undefined;
  #begun: readonly StreamEvent[] | undefined;

  constructor(streams: Streams<unknown>, input: unknown, call: Call) {
    this.#call = call;
    this.#events = streams.events(input, call)[Symbol.asyncIterator]();
    this.#isOpenEnded = streams.isOpenEnded === true;
    this.#timer = setTimeout(() => this.#expire(), call.timeoutMs);
  }

  /** Waits for the first events, so that what fails before them can be answered as if there were no stream. */
  async begin(): Promise<void> {
    try {
      const step = await this.#step();
      this.#begun = step.done === true ? [] : step.value;
    } catch (thrown) {
      this.#stop();
      throw thrown;
    }
  }

  /** The next events; undefined after the last. Throws ServerError, after which there is nothing more. */
  async next(): Promise<readonly StreamEvent[] | undefined> {
    const begun = this.#begun;
    this.#begun = undefined;
    if (begun !== undefined) return begun;
    if (this.#hasEnded) return undefined;
    try {
      const step = await this.#step();
      if (step.done !== true) return step.value;
      this.#end(undefined);
      return undefined;
    } catch (thrown) {
      const error = toServerError(thrown);
      this.#end(error);
      throw error;
    }
  }

  /** Nobody reads any more: what is queued for it is dropped. */
  close(error = new ServerError('CANCELLED')): void {
    this.#call.cancel();
    this.#end(error);
  }

  async #step(): Promise<IteratorResult<readonly StreamEvent[], unknown>> {
    const step = await this.#nextInTime();
    if (this.#call.cancelled) throw new ServerError('CANCELLED');
    if (this.#isOpenEnded) clearTimeout(this.#timer);
    return step;
  }

  /** No race with a promise of the deadline: that would keep each step until it is settled itself. */
  #nextInTime(): Promise<IteratorResult<readonly StreamEvent[], unknown>> {
    return new Promise((resolve, reject) => {
      if (this.#expired !== undefined) return reject(this.#expired);
      this.#onExpired = reject;
      this.#events.next().then(resolve, reject);
    });
  }

  #expire(): void {
    this.#call.cancel();
    this.#expired = new ServerError('TIMEOUT', `The request did not finish in ${this.#call.timeoutMs} ms.`);
    this.#onExpired?.(this.#expired);
  }

  #end(error: ServerError | undefined): void {
    if (this.#hasEnded) return;
    this.#stop();
    this.ended?.(error);
  }

  #stop(): void {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    // A generator that waits inside notices when its wait ends.
    this.#events.return?.().catch(() => {});
  }
}
