// Equal inputs are computed once: one flight a key, and the requests that wait for it.
// Invariants: a flight ends once, with a vector or an error, and everyone aboard hears of it; whoever boards an
// input that has not started keeps it alive, also when the request that brought it leaves.
import type { EmbedInput } from '../backend/protocol.ts';
import type { Waiter } from '../batch/job.ts';
import type { ServerError } from '../errors.ts';
import type { CachedVector } from './memory.ts';

/** One request's vectors as they come in, from tiers and from flights. */
export class Gathering {
  readonly rows: Float32Array[];
  /** Tokens of each input before truncation, and those kept. */
  readonly tokensGiven: Int32Array;
  readonly tokensKept: Int32Array;
  /** Resolves when all inputs have their vectors; rejects with the first error of any. */
  readonly complete: Promise<void>;
  readonly #waiter: Waiter;
  #missing: number;
  #failed = false;
  #resolve!: () => void;
  #reject!: (error: ServerError) => void;

  constructor(count: number, waiter: Waiter) {
    this.#waiter = waiter;
    this.#missing = count;
    this.rows = new Array<Float32Array>(count);
    this.tokensGiven = new Int32Array(count);
    this.tokensKept = new Int32Array(count);
    this.complete = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get size(): number {
    return this.rows.length;
  }

  /** Whether anybody still waits for it. */
  get isAlive(): boolean {
    return !this.#waiter.cancelled && !this.#failed;
  }

  get deadlineMs(): number {
    return this.#waiter.deadlineMs ?? Infinity;
  }

  put(index: number, { row, tokensGiven, tokensKept }: CachedVector): void {
    this.rows[index] = row;
    this.tokensGiven[index] = tokensGiven;
    this.tokensKept[index] = tokensKept;
    this.#missing -= 1;
    this.#waiter.completed?.(index, row, tokensGiven, tokensKept);
    if (this.#missing === 0) this.#resolve();
  }

  started(): void {
    this.#waiter.started?.();
  }

  fail(error: ServerError): void {
    this.#failed = true;
    this.#reject(error);
  }
}

export class Flight {
  readonly key: string;
  readonly input: EmbedInput;
  #hasStarted = false;
  #hasEnded = false;
  readonly #aboard: { readonly gathering: Gathering; readonly index: number }[] = [];

  constructor(key: string, input: EmbedInput) {
    this.key = key;
    this.input = input;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  get isWanted(): boolean {
    return this.#aboard.some(({ gathering }) => gathering.isAlive);
  }

  /** When the last of those aboard stops waiting. */
  get deadlineMs(): number {
    // Not as arguments of one call: a hundred thousand would be beyond its stack.
    return this.#aboard.reduce((latestMs, { gathering }) => Math.max(latestMs, gathering.deadlineMs), -Infinity);
  }

  board(gathering: Gathering, index: number): void {
    this.#aboard.push({ gathering, index });
    if (this.#hasStarted) gathering.started();
  }

  /** A worker has it. */
  start(): void {
    this.#hasStarted = true;
    for (const { gathering } of this.#aboard) gathering.started();
  }

  land(vector: CachedVector): void {
    this.#hasEnded = true;
    for (const { gathering, index } of this.#aboard) gathering.put(index, vector);
  }

  fail(error: ServerError): void {
    this.#hasEnded = true;
    for (const { gathering } of this.#aboard) gathering.fail(error);
  }
}
