// The batching policy, pure: which inputs run together. No clock, no promise, no queue of its own.
// The batcher asks it with estimated lengths; a worker asks it again with the exact ones.
import assert from 'node:assert/strict';
import type { RunCost } from '../backend/protocol.ts';

/**
 * A batch was chosen by guessed lengths; that much more than a full run by exact lengths is still one run, since
 * two would start twice.
 */
const exactSlack = 1.5;

/**
 * Cuts inputs of ascending exact `lengths` into runs, given as their counts. Padding makes every row as long as
 * the longest, so a run costs its start and a rectangle; the cut is the cheapest there is (Bellman over the
 * prefixes). One input is always a run, however long.
 */
export function cutRuns(lengths: ArrayLike<number>, cost: RunCost): number[] {
  const tokensMax = cost.tokensMax * exactSlack;
  // cheapest[i] is the cost of the first i inputs, counts[i] how many of them the last run takes.
  const cheapest = new Float64Array(lengths.length + 1);
  const counts = new Int32Array(lengths.length + 1);
  for (let end = 1; end <= lengths.length; end++) {
    const longest = lengths[end - 1]!;
    cheapest[end] = Infinity;
    for (let count = 1; count <= end && (count === 1 || longest * count <= tokensMax); count++) {
      const total = cheapest[end - count]! + cost.overheadTokens + longest * count;
      if (total < cheapest[end]!) {
        cheapest[end] = total;
        counts[end] = count;
      }
    }
  }
  const runs: number[] = [];
  for (let end = lengths.length; end > 0; end -= counts[end]!) runs.push(counts[end]!);
  return runs.reverse();
}

function joins(longest: number, count: number, next: number, cost: RunCost): boolean {
  const rectangle = Math.max(longest, next) * (count + 1);
  return rectangle <= cost.tokensMax && rectangle - longest * count <= next + cost.overheadTokens;
}

/**
 * Which of the waiting inputs run with the first one, as ascending indices. The first always runs, so
 * nothing starves; the others are those nearest to it in length, whatever their turn.
 * @param inputsMax how many inputs a batch that holds input i may have
 */
export function selectBatch(tokens: readonly number[], cost: RunCost, inputsMax: (i: number) => number = unbounded): number[] {
  assert(tokens.length > 0);
  const order = tokens.map((_, i) => i).sort((a, b) => tokens[a]! - tokens[b]! || a - b);
  const seed = order.indexOf(0);
  let low = seed;
  let high = seed;
  let longest = tokens[0]!;
  let countMax = inputsMax(0);
  for (;;) {
    const shorter = low > 0 ? tokens[order[low - 1]!]! : undefined;
    const longer = high + 1 < order.length ? tokens[order[high + 1]!]! : undefined;
    const count = high - low + 1;
    const fits = (at: number) => count < Math.min(countMax, inputsMax(order[at]!));
    const shorterJoins = shorter !== undefined && fits(low - 1) && joins(longest, count, shorter, cost);
    const longerJoins = longer !== undefined && fits(high + 1) && joins(longest, count, longer, cost);
    if (longerJoins && (!shorterJoins || longer - tokens[0]! <= tokens[0]! - shorter!)) {
      high += 1;
      longest = longer;
      countMax = Math.min(countMax, inputsMax(order[high]!));
    } else if (shorterJoins) {
      low -= 1;
      countMax = Math.min(countMax, inputsMax(order[low]!));
    } else {
      break;
    }
  }
  return order.slice(low, high + 1).sort((a, b) => a - b);
}

/**
 * Which of the waiting inputs run with the first one where inputs of all lengths run together without padding: those
 * whose turn is next, leaving out what is too long for the rest of the run. Ascending indices; the first always runs.
 * @param inputsMax as for selectBatch
 */
export function fillBatch(tokens: readonly number[], tokensMax: number, inputsMax: (i: number) => number = unbounded): number[] {
  assert(tokens.length > 0);
  const chosen = [0];
  let sum = tokens[0]!;
  let countMax = inputsMax(0);
  for (let i = 1; i < tokens.length && sum < tokensMax; i++) {
    const limit = Math.min(countMax, inputsMax(i));
    if (sum + tokens[i]! > tokensMax || chosen.length + 1 > limit) continue;
    chosen.push(i);
    sum += tokens[i]!;
    countMax = limit;
  }
  return chosen;
}

const unbounded = () => Infinity;

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
