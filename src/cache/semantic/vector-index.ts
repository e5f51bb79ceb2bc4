// The nearest vectors of one partition: a scan while it is small, a graph when it is large, built beside it.
// Invariant: what is found is scored against the packed rows, so a graph can miss a neighbour but never make one up.
import { setImmediate as turn } from 'node:timers/promises';
import { semanticScanRows, semanticTombstonesMax } from '../../limits.ts';
import type { Graph } from './graph.ts';
import type { Graphs } from './graphs.ts';
import { Best, VectorRows, type Found } from './vector-rows.ts';

/** A graph as it lies on the disk, but for its file: by label whose row it was. */
export type SavedGraph<Owner> = { readonly sha256: string; readonly owners: readonly (Owner | undefined)[] };

export class VectorIndex<Owner extends object> {
  readonly #rows: VectorRows<Owner>;
  readonly #graphs: Graphs;
  #graph: Graph | undefined;
  /** Takes the place of the other one when it has all rows. */
  #next: Graph | undefined;
  /** A graph is being opened; or none is wanted yet. */
  #paused: boolean;
  #closed = false;
  #changes = 0;

  /** `paused`: no graph is built before resume(). */
  constructor(dimension: number, graphs: Graphs, paused: boolean) {
    this.#rows = new VectorRows(dimension);
    this.#graphs = graphs;
    this.#paused = paused;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Rows that are found through the graph. */
  get graphSize(): number {
    return this.#graph?.live ?? 0;
  }

  /** Whether the graph has all rows, or there is no need of one. */
  get settled(): boolean {
    return this.#next === undefined && (this.#graph?.waiting.size === 0 || this.size < this.#graphs.rowsMin);
  }

  /** Rows that came and went since the graph was saved or loaded. */
  get changes(): number {
    return this.#changes;
  }

  /** `unit` is copied. Gives the slot that remove() wants. */
  add(owner: Owner, unit: Float32Array): number {
    const slot = this.#rows.add(owner, unit);
    this.#changes += 1;
    this.#graph?.add(slot);
    this.#next?.add(slot);
    this.#tend();
    return slot;
  }

  remove(slot: number): void {
    this.#rows.remove(slot);
    this.#changes += 1;
    this.#graph?.remove(slot);
    this.#next?.remove(slot);
    this.#tend();
  }

  vector(slot: number): Float32Array {
    return this.#rows.row(slot).slice();
  }

  resume(): void {
    this.#paused = false;
    this.#tend();
  }

  close(): void {
    this.#closed = true;
    this.#dropGraphs();
  }

  /** At most that many, most similar first; only owners that are still here when it ends. */
  async nearest(unit: Float32Array, countMax: number): Promise<readonly Found<Owner>[]> {
    const best = new Best<Owner>(countMax);
    // What waits for the graph when the search begins may be in it when it ends.
    const waiting = new Set(this.#graph?.waiting);
    const slots = await this.#graph?.search(unit, countMax).catch(() => undefined);
    if (slots === undefined) {
      await this.#scan(unit, best);
    } else {
      for (const slot of slots) if (!waiting.has(slot)) this.#offer(slot, unit, best);
      await this.#scanThese(waiting, unit, best);
    }
    return best.found.filter(({ owner, slot }) => this.#rows.owner(slot) === owner);
  }

  /** Undefined when there is no graph. */
  async save(file: string): Promise<SavedGraph<Owner> | undefined> {
    const graph = this.#graph;
    if (graph === undefined) return undefined;
    this.#changes = 0;
    const { sha256, slots } = await graph.save(file);
    return { sha256, owners: slots.map((slot) => this.#rows.owner(slot)) };
  }

  /** Takes a saved graph in place of building one; `slots` by label, -1 for rows that are gone. Rejects on damage. */
  async load(file: string, sha256: string, slots: readonly number[]): Promise<void> {
    // Rows come and go while the file is read, and the next one takes the slot of the last.
    const owners = slots.map((slot) => this.#rows.owner(slot));
    const graph = await this.#graphs.blank((slot) => this.#rows.row(slot), () => this.#lost());
    if (graph === undefined) return;
    await graph.load(file, sha256, this.#rows.dimension, slots);
    if (this.#closed) return graph.drop();
    const known = new Set<number>();
    for (const [label, slot] of slots.entries()) {
      if (slot < 0) continue;
      if (owners[label] !== undefined && owners[label] === this.#rows.owner(slot)) known.add(slot);
      else graph.remove(slot);
    }
    for (let slot = 0; slot < this.#rows.slots; slot += 1) {
      if (this.#rows.owner(slot) !== undefined && !known.has(slot)) graph.add(slot);
    }
    this.#graph = graph;
    this.#changes = 0;
  }

  #offer(slot: number, unit: Float32Array, best: Best<Owner>): void {
    const owner = this.#rows.owner(slot);
    if (owner !== undefined) best.offer(owner, slot, this.#rows.similarity(slot, unit));
  }

  /** Lets others in between after each portion. */
  async #scan(unit: Float32Array, best: Best<Owner>): Promise<void> {
    for (let from = 0; from < this.#rows.slots; from += semanticScanRows) {
      if (from > 0) await turn();
      this.#rows.scan(unit, from, Math.min(from + semanticScanRows, this.#rows.slots), best);
    }
  }

  async #scanThese(slots: ReadonlySet<number>, unit: Float32Array, best: Best<Owner>): Promise<void> {
    let scanned = 0;
    for (const slot of slots) {
      this.#offer(slot, unit, best);
      scanned += 1;
      if (scanned % semanticScanRows === 0) await turn();
    }
  }

  /** Starts, swaps, renews and drops graphs as the rows come and go. */
  #tend(): void {
    if (this.#closed) return;
    if (this.size < this.#graphs.rowsMin / 2) {
      if (this.#graph !== undefined || this.#next !== undefined) this.#dropGraphs();
      return;
    }
    if (this.#next?.waiting.size === 0) this.#swap(this.#next);
    const wanted = this.#graph === undefined ? this.size >= this.#graphs.rowsMin : this.#graph.tombstones > semanticTombstonesMax;
    if (wanted && this.#next === undefined && !this.#paused) void this.#build();
  }

  async #build(): Promise<void> {
    this.#paused = true;
    // With room to grow, so that adding does not soon mean moving all.
    const room = Math.ceil(this.size * 1.5);
    const graph = await this.#graphs.open(this.#rows.dimension, room, (slot) => this.#rows.row(slot), () => this.#lost()).catch(() => undefined);
    // Without graphs at all, this stays paused for good.
    if (graph === undefined) return;
    this.#paused = false;
    if (this.#closed) return graph.drop();
    this.#next = graph;
    graph.whenSettled(() => this.#tend());
    for (let slot = 0; slot < this.#rows.slots; slot += 1) if (this.#rows.owner(slot) !== undefined) graph.add(slot);
  }

  #swap(next: Graph): void {
    this.#graph?.drop();
    this.#graph = next;
    this.#next = undefined;
    this.#changes = this.size;
  }

  #lost(): void {
    this.#paused = true;
    this.#dropGraphs();
  }

  #dropGraphs(): void {
    this.#graph?.drop();
    this.#next?.drop();
    this.#graph = undefined;
    this.#next = undefined;
  }
}
