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
    const { dimension } = this;
    const values = this.#values;
    let at = slot * dimension;
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    let i = 0;
    // Four sums: each addition need not wait for the one before it.
    for (; i + 3 < dimension; i += 4, at += 4) {
      a += values[at]! * unit[i]!;
      b += values[at + 1]! * unit[i + 1]!;
      c += values[at + 2]! * unit[i + 2]!;
      d += values[at + 3]! * unit[i + 3]!;
    }
    for (; i < dimension; i++, at++) a += values[at]! * unit[i]!;
    return a + b + c + d;
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
