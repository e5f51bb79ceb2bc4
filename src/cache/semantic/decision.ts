// What makes a neighbour a hit: threshold, verdict, and what feedback has taught, in that order.
import { ServerError } from '../../errors.ts';
import type { Judge, Learning, Mode } from './types.ts';

export type Policy = {
  readonly mode: Mode;
  /** Cosine below which nothing is a hit. */
  readonly threshold: number;
  /** Asked in every mode but `cosine`. */
  readonly judge?: Judge | undefined;
  readonly learning?: Learning | undefined;
};

/** Where the operator says nothing. The verifier must see misspelt questions, too: a floor of 0.5 costs hits (bench/README.md). */
export const defaultThresholds: Readonly<Record<Mode, number>> = { cosine: 0.85, guarded: 0.8, verified: 0.35 };

export type Decision = {
  readonly hit: boolean;
  /** What refused it. */
  readonly by?: 'threshold' | 'verdict' | 'feedback';
  readonly reason: string;
};

/** The threshold of one call: a client may ask for more than the server, never for less. */
export function thresholdOf({ threshold }: Policy, wished: number | undefined): number {
  if (wished === undefined) return threshold;
  if (!(wished >= 0 && wished <= 1)) {
    throw new ServerError('REQUEST_INVALID', 'similarity_threshold must be a number from 0 to 1.', { field: 'similarity_threshold' });
  }
  return Math.max(threshold, wished);
}

/** `state`: what was learned about the cached question, undefined when nothing. */
export function decide(
  policy: Policy, pair: Parameters<Judge>[0], threshold: number, state: unknown,
): Decision {
  const { similarity } = pair;
  const compared = `cosine ${similarity.toFixed(4)}`;
  if (similarity < threshold) return { hit: false, by: 'threshold', reason: `${compared} < ${threshold}` };
  let reason = `${compared} >= ${threshold}`;
  if (policy.mode !== 'cosine') {
    // A verdict that is missing is not a good one.
    if (policy.judge === undefined) return { hit: false, by: 'verdict', reason: `${compared}; no verdict` };
    const verdict = policy.judge(pair);
    reason = `${compared}; ${verdict.reason}`;
    if (!verdict.same) return { hit: false, by: 'verdict', reason };
  }
  if (state !== undefined && policy.learning?.decide(state, similarity) === 'explore') {
    return { hit: false, by: 'feedback', reason: `${reason}; earlier feedback asks for more` };
  }
  return { hit: true, reason };
}
