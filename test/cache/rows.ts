// Vectors as models give them, by rule.
import { float16Bits, float16Value } from '../../src/tensor/float16.ts';

/** Of unit length, normally distributed. */
export function normalRow(dimension: number, seed: number): Float32Array {
  let state = seed * 2_654_435_761 % 2 ** 32;
  const uniform = () => {
    // Numerical Recipes' linear congruential generator.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  const row = Float32Array.from({ length: dimension }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
  const length = Math.hypot(...row);
  return row.map((value) => value / length);
}

/** As ProtT5 on Triton gives them: binary16, handed on as float32. */
export function halfRow(dimension: number, seed: number): Float32Array {
  return normalRow(dimension, seed).map((value) => float16Value(float16Bits(value)));
}
