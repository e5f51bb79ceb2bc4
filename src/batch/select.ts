// The batching policy, pure: which queued inputs run together. No clock, no promise, no queue of its own.
import assert from 'node:assert/strict';

/**
 * How many inputs from the head of `lengths` fit one padded run. Padding makes every row as long as the
 * longest, so a run costs a rectangle. One input always fits, or nothing would ever move.
 */
export function runCount(lengths: ArrayLike<number>, start: number, tokensMax: number): number {
  assert(start < lengths.length);
  let longest = 0;
  let count = 0;
  for (let i = start; i < lengths.length; i++) {
    longest = Math.max(longest, lengths[i]!);
    if (count > 0 && longest * (count + 1) > tokensMax) break;
    count += 1;
  }
  return count;
}
