// What a tensor model has done since the server started: counts, and times of the latest runs.
import type { ErrorCode } from '../errors.ts';
import type { TensorSeries } from '../metrics/model-series.ts';
import { InferenceStatistics } from './inference-statistics.ts';

/** Runs whose times are kept: enough for a 99th percentile. */
const keptRuns = 1024;

export type TimeSummary = {
  readonly count: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly maxMs: number;
};

export class TensorStats {
  readonly inference = new InferenceStatistics();
  requests = 0;
  failures = 0;
  lastUsedMs: number | undefined;
  readonly #runMs: number[] = [];
  readonly #series: TensorSeries | undefined;
  #next = 0;
  /** Sums by metric; a Map, since names come from manifests. */
  readonly #metrics = new Map<string, { sum: number; count: number }>();

  /** @param series hear the same */
  constructor(series?: TensorSeries) {
    this.#series = series;
  }

  answered({ queueMs, runMs, metrics }: { queueMs: number; runMs: number; metrics: ReadonlyMap<string, number> }): void {
    this.#series?.answered(queueMs, runMs);
    this.requests += 1;
    this.lastUsedMs = Date.now();
    this.#runMs[this.#next] = runMs;
    this.#next = (this.#next + 1) % keptRuns;
    for (const [name, value] of metrics) {
      const known = this.#metrics.get(name) ?? { sum: 0, count: 0 };
      this.#metrics.set(name, { sum: known.sum + value, count: known.count + 1 });
    }
  }

  failed(code: ErrorCode): void {
    this.#series?.failed(code);
    this.requests += 1;
    this.failures += 1;
    this.lastUsedMs = Date.now();
  }

  /** Times of the latest runs. */
  get times(): TimeSummary {
    return timeSummary(this.#runMs);
  }

  /** Each metric's mean over all runs. */
  get metricMeans(): ReadonlyMap<string, number> {
    return new Map([...this.#metrics].map(([name, { sum, count }]) => [name, sum / count]));
  }
}

/** Zeros for no times. */
export function timeSummary(times: readonly number[]): TimeSummary {
  const sorted = times.toSorted((a, b) => a - b);
  const mean = sorted.reduce((sum, ms) => sum + ms, 0) / Math.max(1, sorted.length);
  return {
    count: sorted.length,
    meanMs: mean,
    p50Ms: percentile(sorted, 0.5),
    p95Ms: percentile(sorted, 0.95),
    maxMs: sorted.at(-1) ?? 0,
  };
}

/** The least value that `part` of them do not exceed (nearest rank); `sorted` rises. */
function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
}
