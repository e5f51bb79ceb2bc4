// One graph in the graphs' thread, and which of a partition's rows are in it.
// Invariant: a slot is in the graph, or waits for it, or has no row. A label stands for one row for ever: a slot that
// is used again gets a new label, so what the graph finds is the row that was meant or nothing.
import type { AskedThread } from '../../storage/asked-thread.ts';
import { semanticGraphAddRows } from '../../limits.ts';
import type { GraphRequest } from './graph-thread.ts';

type Batch = { readonly slots: (number | undefined)[]; readonly label: number };

const none = -1;

export class Graph {
  readonly #thread: AskedThread<GraphRequest>;
  readonly #number: number;
  readonly #row: (slot: number) => Float32Array;
  /** By label. */
  readonly #slots: number[] = [];
  readonly #labels = new Map<number, number>();
  readonly #waiting = new Set<number>();
  #batch: Batch | undefined;
  #live = 0;
  #failed: (error: unknown) => void;
  #settled: () => void = () => {};

  /** `row` gives a slot's vector; `failed` is told once that the graph is of no use any more. */
  constructor(thread: AskedThread<GraphRequest>, number: number, row: (slot: number) => Float32Array, failed: (error: unknown) => void) {
    this.#thread = thread;
    this.#number = number;
    this.#row = row;
    this.#failed = failed;
  }

  /** Rows that it finds. */
  get live(): number {
    return this.#live;
  }

  /** The part of its rows that were removed. */
  get tombstones(): number {
    return this.#slots.length === 0 ? 0 : 1 - this.#live / this.#slots.length;
  }

  /** Slots that it does not find yet. */
  get waiting(): ReadonlySet<number> {
    return this.#waiting;
  }

  /** Called each time nothing waits any more. */
  whenSettled(settled: () => void): void {
    this.#settled = settled;
  }

  add(slot: number): void {
    this.#waiting.add(slot);
    this.#pump();
  }

  remove(slot: number): void {
    if (this.#waiting.delete(slot)) {
      const at = this.#batch?.slots.indexOf(slot) ?? none;
      if (at >= 0) this.#batch!.slots[at] = undefined;
      return;
    }
    const label = this.#labels.get(slot);
    if (label === undefined) return;
    this.#labels.delete(slot);
    this.#slots[label] = none;
    this.#live -= 1;
    this.#removeLabel(label);
  }

  /** Slots of near rows in no order; their similarity is for the caller to compute. Rejects when the graph is lost. */
  async search(unit: Float32Array, count: number): Promise<number[]> {
    const labels = (await this.#thread.ask({ kind: 'search', graph: this.#number, unit, count })) as number[];
    return labels.map((label) => this.#slots[label] ?? none).filter((slot) => slot !== none);
  }

  /** Writes the rows that are in it now; gives the hash and, by label, the slots. */
  async save(file: string): Promise<{ sha256: string; slots: readonly number[] }> {
    const { sha256, rows } = (await this.#thread.ask({ kind: 'save', graph: this.#number, file })) as { sha256: string; rows: number };
    return { sha256, slots: this.#slots.slice(0, rows) };
  }

  /** Takes what save() wrote; a slot below 0 is a row that is gone. Rejects when the file is not as it was. */
  async load(file: string, sha256: string, dimension: number, slots: readonly number[]): Promise<void> {
    await this.#thread.ask({ kind: 'load', graph: this.#number, dimension, rows: slots.length, sha256, file });
    for (const [label, slot] of slots.entries()) {
      this.#slots.push(slot);
      if (slot === none) {
        this.#removeLabel(label);
        continue;
      }
      this.#labels.set(slot, label);
      this.#live += 1;
    }
  }

  drop(): void {
    this.#failed = () => {};
    this.#settled = () => {};
    this.#waiting.clear();
    this.#thread.ask({ kind: 'drop', graph: this.#number }).catch(() => undefined);
  }

  #removeLabel(label: number): void {
    // Marked twice, when a file has the mark already, is refused and means the same.
    this.#thread.ask({ kind: 'remove', graph: this.#number, label }).catch(() => undefined);
  }

  #pump(): void {
    if (this.#batch !== undefined || this.#waiting.size === 0) return;
    const slots: number[] = [];
    for (const slot of this.#waiting) {
      slots.push(slot);
      if (slots.length === semanticGraphAddRows) break;
    }
    const { length: dimension } = this.#row(slots[0]!);
    const rows = new Float32Array(slots.length * dimension);
    slots.forEach((slot, i) => rows.set(this.#row(slot), i * dimension));
    const batch: Batch = { slots, label: this.#slots.length };
    this.#batch = batch;
    this.#thread.ask({ kind: 'add', graph: this.#number, label: batch.label, rows }, [rows.buffer]).then(
      () => this.#added(batch),
      (error: unknown) => this.#failed(error),
    );
  }

  #added({ slots, label: first }: Batch): void {
    this.#batch = undefined;
    for (const [i, slot] of slots.entries()) {
      const label = first + i;
      this.#slots.push(slot ?? none);
      if (slot === undefined) {
        this.#removeLabel(label);
        continue;
      }
      this.#waiting.delete(slot);
      this.#labels.set(slot, label);
      this.#live += 1;
    }
    this.#pump();
    if (this.#waiting.size === 0) this.#settled();
  }
}
