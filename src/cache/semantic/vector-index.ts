// The nearest vectors of one partition.
// Invariant: what is found is scored against the packed rows, so no other index can make a wrong similarity.
import { setImmediate as turn } from 'node:timers/promises';
import { semanticScanRows } from '../../limits.ts';
import { Best, VectorRows, type Found } from './vector-rows.ts';

export class VectorIndex<Owner extends object> {
  readonly #rows: VectorRows<Owner>;

  constructor(dimension: number) {
    this.#rows = new VectorRows(dimension);
  }

  get size(): number {
    return this.#rows.size;
  }

  /** `unit` is copied. Gives the slot that remove() wants. */
  add(owner: Owner, unit: Float32Array): number {
    return this.#rows.add(owner, unit);
  }

  remove(slot: number): void {
    this.#rows.remove(slot);
  }

  close(): void {}

  /** At most that many, most similar first; only owners that are still here when it ends. */
  async nearest(unit: Float32Array, countMax: number): Promise<readonly Found<Owner>[]> {
    const best = new Best<Owner>(countMax);
    await this.#scan(unit, best);
    return best.found.filter(({ owner, slot }) => this.#rows.owner(slot) === owner);
  }

  /** Lets others in between after each portion. */
  async #scan(unit: Float32Array, best: Best<Owner>): Promise<void> {
    for (let slot = 0; slot < this.#rows.slots; slot += 1) {
      if (slot > 0 && slot % semanticScanRows === 0) await turn();
      const owner = this.#rows.owner(slot);
      if (owner !== undefined) best.offer(owner, slot, this.#rows.similarity(slot, unit));
    }
  }
}
