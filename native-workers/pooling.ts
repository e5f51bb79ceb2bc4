// One vector of the token vectors of a text, each way as sentence-transformers' models/Pooling.py computes it.
// Invariant: padding never counts, so a text's vector does not depend on what it was padded to.
import type { PoolingMode } from '../src/backend/manifest.ts';

/** Where nothing is pooled (a prompt that is left out fills the whole input) the reference's maximum is this. */
const emptyMaximum = -1e9;
/** The reference clamps its denominators. */
const denominatorMin = 1e-9;

export class Pooler {
  /** Values in a result: one part for each mode, concatenated. */
  readonly dimension: number;
  readonly #modes: readonly PoolingMode[];
  readonly #width: number;
  /** Sums in double precision: one rounding at the end instead of one for each token. */
  readonly #sums: Float64Array;

  constructor(modes: readonly PoolingMode[], width: number) {
    this.#modes = modes;
    this.#width = width;
    this.dimension = modes.length * width;
    this.#sums = new Float64Array(width);
  }

  /**
   * @param vectors token vectors, this text's first one at index `start`
   * @param from the first token that counts, `length` the number of tokens without padding
   * @param output at least `dimension` values; overwritten
   */
  pool(vectors: Float32Array, start: number, from: number, length: number, output: Float32Array): void {
    const width = this.#width;
    for (const [part, mode] of this.#modes.entries()) {
      const target = output.subarray(part * width, (part + 1) * width);
      if (mode === 'cls') target.set(vectors.subarray(start, start + width));
      else if (mode === 'max') this.#maximum(vectors, start, from, length, target);
      else if (mode === 'lastToken') this.#lastToken(vectors, start, from, length, target);
      else this.#weightedSum(mode, vectors, start, from, length, target);
    }
  }

  #maximum(vectors: Float32Array, start: number, from: number, length: number, target: Float32Array): void {
    const width = this.#width;
    if (from >= length) {
      target.fill(emptyMaximum);
      return;
    }
    target.set(vectors.subarray(start + from * width, start + (from + 1) * width));
    for (let token = from + 1, at = start + token * width; token < length; token++) {
      for (let i = 0; i < width; i++, at++) {
        const value = vectors[at]!;
        // NaN must not be passed over: a broken run has to show.
        if (value > target[i]! || value !== value) target[i] = value;
      }
    }
  }

  #lastToken(vectors: Float32Array, start: number, from: number, length: number, target: Float32Array): void {
    const at = start + (length - 1) * this.#width;
    if (from >= length) target.fill(0);
    else target.set(vectors.subarray(at, at + this.#width));
  }

  #weightedSum(
    mode: 'mean' | 'meanSqrtLength' | 'weightedMean',
    vectors: Float32Array,
    start: number,
    from: number,
    length: number,
    target: Float32Array,
  ): void {
    const width = this.#width;
    const sums = this.#sums.fill(0);
    let weights = 0;
    for (let token = from, at = start + from * width; token < length; token++) {
      // Position weights count from the first token, whether it is pooled or not.
      const weight = mode === 'weightedMean' ? token + 1 : 1;
      weights += weight;
      if (weight === 1) for (let i = 0; i < width; i++, at++) sums[i]! += vectors[at]!;
      else for (let i = 0; i < width; i++, at++) sums[i]! += weight * vectors[at]!;
    }
    const clamped = Math.max(weights, denominatorMin);
    const denominator = mode === 'meanSqrtLength' ? Math.sqrt(clamped) : clamped;
    for (let i = 0; i < width; i++) target[i] = sums[i]! / denominator;
  }
}
