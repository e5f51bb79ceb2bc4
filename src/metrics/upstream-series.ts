// The Prometheus series of the upstream: what asking it costs, and who did not have to.
import type { Counter, Histogram } from 'prom-client';
import type { SeriesMaker } from './model-series.ts';

/** Twice as long each, 8 ms to 4 minutes: a language model takes its time. */
const upstreamBuckets = Array.from({ length: 16 }, (_, i) => 0.008 * 2 ** i);

export class UpstreamSeries {
  readonly #seconds: Histogram<'status'>;
  readonly #joined: Counter;
  readonly #bypassed: Counter;

  constructor(make: SeriesMaker) {
    this.#seconds = make.histogram('upstream_duration_seconds', 'Whole answers of the upstream by their status; 0 is none.', ['status'], upstreamBuckets);
    this.#joined = make.counter('upstream_joined_total', 'Questions that shared an answer which was on its way.', []);
    this.#bypassed = make.counter('semantic_bypassed_total', 'Chats that passed the cache by.', []);
    for (const counter of [this.#joined, this.#bypassed]) counter.inc(0);
  }

  /** @param status 0 when it gave no answer */
  ended(status: number, upstreamMs: number): void {
    this.#seconds.labels(String(status)).observe(upstreamMs / 1000);
  }

  joined(): void {
    this.#joined.inc();
  }

  bypassed(): void {
    this.#bypassed.inc();
  }
}
