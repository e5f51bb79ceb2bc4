// Counts inferences of tensor models, whichever surface they came by.
import type { TensorResult } from '../backend/tensor-backend.ts';
import { toServerError } from '../errors.ts';
import type { TensorStats } from '../registry/tensor-stats.ts';

export type Outcome = { readonly queueMs: number; readonly runMs: number };

export type InferenceFacts = {
  readonly startedMs: number;
  /** When the inputs had been checked. */
  readonly checkedMs: number;
  readonly rows: number;
  readonly metrics: ReadonlyMap<string, number>;
};

export function countSuccess(stats: TensorStats, result: TensorResult, facts: InferenceFacts): void {
  const { startedMs, checkedMs, rows, metrics } = facts;
  const { queueMs, runMs: inferMs, batchRows } = result;
  const nowMs = performance.now();
  const inputMs = checkedMs - startedMs;
  const outputMs = nowMs - checkedMs - queueMs - inferMs;
  stats.answered({ queueMs, runMs: inferMs, metrics });
  stats.inference.succeeded(rows, { totalMs: nowMs - startedMs, queueMs, inputMs, inferMs, outputMs });
  if (batchRows !== undefined) stats.inference.executed(batchRows, { inputMs, inferMs, outputMs });
}

/** Whoever left is no failure. */
export function countFailure(stats: TensorStats, error: unknown, startedMs: number): void {
  const { code } = toServerError(error);
  if (code === 'CANCELLED') return;
  stats.failed(code);
  stats.inference.failed(performance.now() - startedMs);
}
