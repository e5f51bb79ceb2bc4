// The last steps on one vector: length, unit length. Whoever computes it takes them, in a worker or of a remote answer.

/** As torch.nn.functional.normalize: a vector shorter than this is divided by it instead of by its length. */
const lengthMin = 1e-12;

/**
 * Copies the first `count` values of `source` to `target` at `start`, scaled to unit length if wanted. False,
 * with `target` unfinished, when a value is not finite.
 */
export function writeVector(
  source: Float32Array,
  count: number,
  unitLength: boolean,
  target: Float32Array,
  start: number,
): boolean {
  let squares = 0;
  for (let i = 0; i < count; i++) squares += source[i]! * source[i]!;
  // Squares of float32 values cannot overflow here, so the sum is finite exactly when all values are.
  if (!Number.isFinite(squares)) return false;
  const length = unitLength ? Math.max(Math.sqrt(squares), lengthMin) : 1;
  for (let i = 0; i < count; i++) target[start + i] = source[i]! / length;
  return true;
}
