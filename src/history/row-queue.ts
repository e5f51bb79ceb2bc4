// Rows that wait for the database: a queue with a bound that includes the rows being written.
// Invariant: `size` never exceeds the bound; when it would, the oldest row that waits goes.
import assert from 'node:assert/strict';
import type { HistoryRow } from './row.ts';

export class RowQueue {
  readonly #rowsMax: number;
  #waiting: HistoryRow[] = [];
  /** Where the waiting rows begin: taking from an array's front would move all others. */
  #first = 0;
  #taken: readonly HistoryRow[] = [];
  #removed = 0;

  constructor(rowsMax: number) {
    assert(rowsMax > 0);
    this.#rowsMax = rowsMax;
  }

  /** Rows waiting and being written. */
  get size(): number {
    return this.#waiting.length - this.#first + this.#taken.length;
  }

  /** Rows that left the queue since the start, by being written or dropped. */
  get removed(): number {
    return this.#removed;
  }

  /** How many rows it dropped to make room: 0 or 1. */
  push(row: HistoryRow): number {
    this.#waiting.push(row);
    if (this.size <= this.#rowsMax) return 0;
    this.#first += 1;
    this.#removed += 1;
    this.#compact();
    return 1;
  }

  /** The oldest rows, which stay counted until forget() or putBack(). */
  take(rowsMax: number): readonly HistoryRow[] {
    assert(this.#taken.length === 0, 'one batch at a time');
    this.#taken = this.#waiting.slice(this.#first, this.#first + rowsMax);
    this.#first += this.#taken.length;
    this.#compact();
    return this.#taken;
  }

  /** The rows taken are written. */
  forget(): void {
    this.#removed += this.#taken.length;
    this.#taken = [];
  }

  /** The rows taken wait again, before the others. */
  putBack(): void {
    this.#waiting = [...this.#taken, ...this.#waiting.slice(this.#first)];
    this.#first = 0;
    this.#taken = [];
  }

  #compact(): void {
    // Half of the array is dead: moving the rest costs each row one move at most.
    if (this.#first < 1024 || this.#first * 2 < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#first);
    this.#first = 0;
  }
}
