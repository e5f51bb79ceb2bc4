// How probable it is that two questions have one answer, by a logistic regression over features.ts.
// bench/verdict-fit.ts fits it and writes weights.ts.
import { weights } from './weights.ts';

export type Weights = {
  readonly intercept: number;
  /** One for each feature, in the order of `features`. */
  readonly coefficients: readonly number[];
};

/** Between 0 and 1. */
export function probabilityOf(values: readonly number[], { intercept, coefficients }: Weights = weights): number {
  const sum = values.reduce((total, value, i) => total + value * coefficients[i]!, intercept);
  return 1 / (1 + Math.exp(-sum));
}
