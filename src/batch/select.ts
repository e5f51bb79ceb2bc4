// The batching policy, pure: which inputs run together. No clock, no promise, no queue of its own.
// The batcher asks it with estimated lengths; a worker asks it again with the exact ones.
import assert from 'node:assert/strict';
import type { RunCost } from '../backend/protocol.ts';

/**
 * How many inputs from `start` make the next run; `lengths` ascend. Padding makes every row as long as
 * the longest, so a run costs a rectangle. One input always fits, or nothing would ever move.
 */
export function runCount(lengths: ArrayLike<number>, start: number, cost: RunCost): number {
  assert(start < lengths.length);
  let count = 1;
  let longest = lengths[start]!;
  while (start + count < lengths.length) {
    const next = lengths[start + count]!;
    if (!joins(longest, count, next, cost)) break;
    longest = Math.max(longest, next);
    count += 1;
  }
  return count;
}

function joins(longest: number, count: number, next: number, cost: RunCost): boolean {
  const rectangle = Math.max(longest, next) * (count + 1);
  return rectangle <= cost.tokensMax && rectangle - longest * count <= next + cost.overheadTokens;
}

/**
 * Which of the waiting inputs run with the first one, as ascending indices. The first always runs, so
 * nothing starves; the others are those nearest to it in length, whatever their turn.
 */
export function selectBatch(tokens: readonly number[], cost: RunCost): number[] {
  assert(tokens.length > 0);
  const order = tokens.map((_, i) => i).sort((a, b) => tokens[a]! - tokens[b]! || a - b);
  const seed = order.indexOf(0);
  let low = seed;
  let high = seed;
  let longest = tokens[0]!;
  for (;;) {
    const shorter = low > 0 ? tokens[order[low - 1]!]! : undefined;
    const longer = high + 1 < order.length ? tokens[order[high + 1]!]! : undefined;
    const count = high - low + 1;
    const shorterJoins = shorter !== undefined && joins(longest, count, shorter, cost);
    const longerJoins = longer !== undefined && joins(longest, count, longer, cost);
    if (longerJoins && (!shorterJoins || longer - tokens[0]! <= tokens[0]! - shorter!)) {
      high += 1;
      longest = longer;
    } else if (shorterJoins) {
      low -= 1;
    } else {
      break;
    }
  }
  return order.slice(low, high + 1).sort((a, b) => a - b);
}

/** A closing round smaller than this part of a full one is not worth cutting all batches smaller. */
const roundSlack = 0.2;

/**
 * The size of the next batch, so that all workers end at about the same time: one worker's share of what
 * waits and runs, cut into equal batches.
 */
export function batchTokens(tokens: { queued: number; running: number }, workers: number, tokensMax: number): number {
  const share = (tokens.queued + tokens.running) / workers;
  const rounds = Math.max(1, Math.ceil(share / tokensMax - roundSlack));
  return Math.min(tokensMax, Math.ceil(share / rounds));
}
