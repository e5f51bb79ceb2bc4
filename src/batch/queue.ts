// The waiting inputs of one model, in the order of their turns.
//
// Turns are start times of fair queueing (Demers, Keshav, Shenker 1989): a request's inputs are spaced by their
// tokens from the virtual time at which it arrives, and that time moves by the tokens taken, divided among the
// requests that wait. So a single text passes a request of 2,000 after a few of them, and a stream of single
// texts cannot starve it.
//
//   virtual time 100:  bulk  100 112 124 136 148 ...      arrives first
//   virtual time 112:  single    112                      runs second, not last
import type { EmbedInput, EmbedOptions } from '../backend/protocol.ts';
import type { EmbedJob } from './job.ts';
import type { TextSize } from './length-estimate.ts';

export type QueuedInput = {
  readonly job: EmbedJob;
  /** Where the result belongs in its job. */
  readonly index: number;
  readonly input: EmbedInput;
  readonly options: EmbedOptions;
  /** What the estimate was made from. */
  readonly size: TextSize | undefined;
  /** Estimated: exact counts are known only to the worker's tokenizer. */
  readonly tokens: number;
  /** Virtual time, in tokens, at which its turn comes. */
  turn: number;
};

export class FairQueue {
  /** Ascending turns from `#head` on; what lies before has left. */
  #entries: QueuedInput[] = [];
  #head = 0;
  #virtualTokens = 0;
  #tokens = 0;
  /** How many inputs of each request wait. */
  readonly #waiting = new Map<EmbedJob, number>();

  get length(): number {
    return this.#entries.length - this.#head;
  }

  /** Estimated tokens of all that waits. */
  get tokens(): number {
    return this.#tokens;
  }

  /** The inputs of one request, in its order; their turns are set here. */
  push(inputs: readonly QueuedInput[]): void {
    let turn = this.#virtualTokens;
    for (const entry of inputs) {
      this.#count(entry.job, 1);
      entry.turn = turn;
      turn += entry.tokens;
      this.#tokens += entry.tokens;
    }
    this.#compact();
    this.#merge(inputs);
  }

  /** Up to `count` inputs whose turn is next. */
  window(count: number): readonly QueuedInput[] {
    return this.#entries.slice(this.#head, this.#head + count);
  }

  /** Takes the entries at ascending `indices` of the window out and moves the virtual time. */
  take(indices: readonly number[]): QueuedInput[] {
    const taken = indices.map((i) => this.#entries[this.#head + i]!);
    const share = taken.reduce((sum, entry) => sum + entry.tokens, 0) / this.#waiting.size;
    this.#virtualTokens = Math.max(this.#virtualTokens + share, taken[0]?.turn ?? 0);
    this.#left(taken);
    // What stays of the window moves up against the rest, so that only the head advances.
    let write = (indices.at(-1) ?? -1) + 1;
    let next = indices.length - 1;
    for (let read = write - 1; read >= 0; read--) {
      if (next >= 0 && indices[next] === read) next -= 1;
      else this.#entries[this.#head + --write] = this.#entries[this.#head + read]!;
    }
    this.#head += indices.length;
    return taken;
  }

  /** Takes out all that need not run any more, wherever they stand. */
  takeEnded(): QueuedInput[] {
    const ended: QueuedInput[] = [];
    const waiting: QueuedInput[] = [];
    for (let i = this.#head; i < this.#entries.length; i++) {
      const entry = this.#entries[i]!;
      (entry.job.hasEnded(entry.index) ? ended : waiting).push(entry);
    }
    this.#left(ended);
    this.#entries = waiting;
    this.#head = 0;
    return ended;
  }

  #left(entries: readonly QueuedInput[]): void {
    for (const entry of entries) {
      this.#tokens -= entry.tokens;
      this.#count(entry.job, -1);
    }
  }

  #count(job: EmbedJob, change: number): void {
    const count = (this.#waiting.get(job) ?? 0) + change;
    if (count === 0) this.#waiting.delete(job);
    else this.#waiting.set(job, count);
  }

  #compact(): void {
    if (this.#head === 0) return;
    this.#entries.splice(0, this.#head);
    this.#head = 0;
  }

  /** Merges from the back: a bulk request lands at the end, a small one moves what stands behind it once. */
  #merge(inputs: readonly QueuedInput[]): void {
    const entries = this.#entries;
    let old = entries.length - 1;
    let added = inputs.length - 1;
    entries.length += inputs.length;
    for (let write = entries.length - 1; added >= 0; write--) {
      const before = old >= 0 ? entries[old]! : undefined;
      if (before !== undefined && before.turn > inputs[added]!.turn) {
        entries[write] = before;
        old -= 1;
      } else {
        entries[write] = inputs[added]!;
        added -= 1;
      }
    }
  }
}
