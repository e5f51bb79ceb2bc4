// Fits the verifier: logistic regression with an L2 penalty and the signs that features.ts prescribes, by
// accelerated projected gradient. Deterministic: the same pairs give the same weights.
import { compare } from '../../src/cache/semantic/verdict/align.ts';
import { features, featuresOf } from '../../src/cache/semantic/verdict/features.ts';
import { guardReason } from '../../src/cache/semantic/verdict/guard.ts';
import type { Weights } from '../../src/cache/semantic/verdict/verifier.ts';
import type { MeasuredPair, PairSet } from './pairs.ts';

export type Example = {
  readonly values: readonly number[];
  readonly same: boolean;
  readonly weight: number;
  /** Groups that it knows something of. */
  readonly groups: readonly number[];
  /** Decided by the guard before the verifier is asked. */
  readonly guarded: boolean;
};

const penalty = 2;
const steps = 3000;
/** Neighbours are many and easy, so each counts less than a pair that someone wrote. */
const neighbourWeight = 0.3;
const signs: readonly number[] = [...Object.values(features), 0];

export function exampleOf(pair: MeasuredPair, weight: number, groups: readonly number[]): Example {
  const alignment = compare(pair.a, pair.b);
  const guarded = guardReason(alignment) !== undefined;
  return { values: featuresOf(alignment, pair.similarity), same: pair.same, weight, groups, guarded };
}

/** What the verifier is fitted on: pairs and neighbours, those among them that the guard lets through. */
export function examplesOf({ pairs, neighbours }: PairSet): Example[] {
  return [
    ...pairs.map((pair) => exampleOf(pair, 1, [pair.group])),
    ...neighbours.map((pair) => exampleOf(pair, neighbourWeight, [pair.group, pair.otherGroup])),
  ].filter((example) => !example.guarded);
}

export function fit(examples: readonly Example[]): Weights {
  const scales = Object.keys(features).map((_, f) => scaleOf(examples.map(({ values }) => values[f]!)));
  const rows = examples.map(({ values }) => [...values.map((value, f) => (value - scales[f]!.mean) / scales[f]!.deviation), 1]);
  const fitted = minimise(rows, examples);
  const coefficients = scales.map(({ deviation }, f) => fitted[f]! / deviation);
  const intercept = fitted.at(-1)! - scales.reduce((sum, { mean }, f) => sum + coefficients[f]! * mean, 0);
  return { intercept, coefficients };
}

function scaleOf(values: readonly number[]): { readonly mean: number; readonly deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) || 1 };
}

/** Nesterov's steps, each cut back to the side of zero that its sign allows; the last column is the intercept. */
function minimise(rows: readonly (readonly number[])[], examples: readonly Example[]): number[] {
  const width = signs.length;
  const largest = 0.25 * rows.reduce((sum, row, i) => sum + examples[i]!.weight * row.reduce((square, value) => square + value * value, 0), 0) + penalty;
  let now = new Array<number>(width).fill(0);
  let ahead = now;
  let momentum = 1;
  for (let step = 0; step < steps; step++) {
    const gradient = ahead.map((value, f) => (f === width - 1 ? 0 : penalty * value));
    for (const [i, row] of rows.entries()) {
      const sum = row.reduce((total, value, f) => total + value * ahead[f]!, 0);
      const error = examples[i]!.weight * (1 / (1 + Math.exp(-sum)) - Number(examples[i]!.same));
      for (let f = 0; f < width; f++) gradient[f]! += error * row[f]!;
    }
    const next = ahead.map((value, f) => allowed(value - gradient[f]! / largest, signs[f]!));
    const grown = (1 + Math.sqrt(1 + 4 * momentum * momentum)) / 2;
    ahead = next.map((value, f) => value + ((momentum - 1) / grown) * (value - now[f]!));
    [now, momentum] = [next, grown];
  }
  return now;
}

function allowed(value: number, sign: number): number {
  return sign > 0 ? Math.max(0, value) : sign < 0 ? Math.min(0, value) : value;
}
