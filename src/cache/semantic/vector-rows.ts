// Unit vectors of one length, packed, each with its owner: the exact scan, and the truth behind any other index.
// Invariant: a slot without an owner is never found; a slot that is taken again belongs to its new owner only.
import { ServerError } from '../../errors.ts';

export type Found<Owner> = { readonly owner: Owner; readonly slot: number; readonly similarity: number };

/**
 * The vector at unit length, in memory of its own. Throws INTERNAL for what no model may give: another length than
 * `dimension`, values that are not finite, or all zeros, which has no direction.
 */
export function unitVector(vector: Float32Array, dimension: number): Float32Array {
  if (vector.length !== dimension) {
    throw new ServerError('INTERNAL', undefined, { cause: new Error(`a vector of ${vector.length} values, not ${dimension}`) });
  }
  let squares = 0;
  for (let i = 0; i < dimension; i++) squares += vector[i]! * vector[i]!;
  // One NaN or infinity makes the sum one; so do values whose squares are beyond it.
  if (!(squares > 0 && squares < Infinity)) {
    throw new ServerError('INTERNAL', undefined, { cause: new Error('a vector of zeros or with values that are not finite') });
  }
  const unit = new Float32Array(dimension);
  const factor = 1 / Math.sqrt(squares);
  for (let i = 0; i < dimension; i++) unit[i] = vector[i]! * factor;
  return unit;
}

/** Up to here twice as many rows each time; beyond, the unused half would weigh more than copying does. */
const doublingRowsMax = 16_384;

export class VectorRows<Owner extends object> {
  readonly dimension: number;
  #values: Float32Array;
  readonly #owners: (Owner | undefined)[] = [];
  readonly #free: number[] = [];
  #size = 0;

  constructor(dimension: number) {
    this.dimension = dimension;
    this.#values = new Float32Array(dimension);
  }

  /** Rows in use. */
  get size(): number {
    return this.#size;
  }

  /** All slots are below that. */
  get slots(): number {
    return this.#owners.length;
  }

  get bytes(): number {
    return this.#values.byteLength;
  }

  owner(slot: number): Owner | undefined {
    return this.#owners[slot];
  }

  /** The row itself, until the next add(). */
  row(slot: number): Float32Array {
    return this.#values.subarray(slot * this.dimension, (slot + 1) * this.dimension);
  }

  /** `unit` is copied. Gives the slot. */
  add(owner: Owner, unit: Float32Array): number {
    const slot = this.#free.pop() ?? this.#owners.length;
    if ((slot + 1) * this.dimension > this.#values.length) this.#grow();
    this.#values.set(unit, slot * this.dimension);
    this.#owners[slot] = owner;
    this.#size += 1;
    return slot;
  }

  /** The slot has no owner from now on; the next add() may take it. */
  remove(slot: number): void {
    if (this.#owners[slot] === undefined) return;
    this.#owners[slot] = undefined;
    this.#free.push(slot);
    this.#size -= 1;
  }

  similarity(slot: number, unit: Float32Array): number {
    const values = this.#values;
    let sum = 0;
    for (let i = 0, at = slot * this.dimension; i < this.dimension; i++, at++) sum += values[at]! * unit[i]!;
    return sum;
  }

  /** Offers the rows of slots `from` to below `to`. Four at a time: that takes half as long as one by one. */
  scan(unit: Float32Array, from: number, to: number, best: Best<Owner>): void {
    const { dimension } = this;
    const values = this.#values;
    let slot = from;
    for (; slot + 3 < to; slot += 4) {
      let [a, b, c, d] = [0, 0, 0, 0];
      let at = slot * dimension;
      for (let i = 0; i < dimension; i++, at++) {
        const value = unit[i]!;
        a += values[at]! * value;
        b += values[at + dimension]! * value;
        c += values[at + 2 * dimension]! * value;
        d += values[at + 3 * dimension]! * value;
      }
      this.#offer(slot, a, best);
      this.#offer(slot + 1, b, best);
      this.#offer(slot + 2, c, best);
      this.#offer(slot + 3, d, best);
    }
    for (; slot < to; slot++) this.#offer(slot, this.similarity(slot, unit), best);
  }

  #offer(slot: number, similarity: number, best: Best<Owner>): void {
    const owner = this.#owners[slot];
    if (owner !== undefined) best.offer(owner, slot, similarity);
  }

  #grow(): void {
    const rows = this.#values.length / this.dimension;
    const grown = new Float32Array(this.dimension * Math.ceil(rows * (rows < doublingRowsMax ? 2 : 1.25)));
    grown.set(this.#values);
    this.#values = grown;
  }
}

/** The best few of what is offered, most similar first. */
export class Best<Owner> {
  readonly found: Found<Owner>[] = [];
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  offer(owner: Owner, slot: number, similarity: number): void {
    const { found } = this;
    if (found.length === this.#countMax) {
      if (similarity <= found[found.length - 1]!.similarity) return;
      found.pop();
    }
    let at = found.length;
    while (at > 0 && found[at - 1]!.similarity < similarity) at -= 1;
    found.splice(at, 0, { owner, slot, similarity });
  }
}
