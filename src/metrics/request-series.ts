// The Prometheus series of all requests. Counted here and only read by prom-client when somebody scrapes: it finds a
// series by a string made of its labels each time it counts, which was a tenth of what a cached answer costs.
import { Counter, type Histogram, type Registry } from 'prom-client';

const durationName = 'ortserve_request_duration_seconds';

type OperationCounts = {
  /** Answers by status. */
  readonly answers: Map<number, number>;
  /** Answers whose duration lies in each bucket, and in none before it; the last is above all bounds. */
  readonly buckets: Float64Array;
  seconds: number;
};

export class RequestSeries {
  readonly #boundsSeconds: readonly number[];
  readonly #operations = new Map<string, OperationCounts>();

  /** @param boundsSeconds upper bounds of the buckets, ascending */
  constructor(registry: Registry, boundsSeconds: readonly number[]) {
    this.#boundsSeconds = boundsSeconds;
    const operations = this.#operations;
    new Counter({
      name: 'ortserve_requests_total',
      help: 'Requests answered.',
      labelNames: ['operation', 'status'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [operation, { answers }] of operations) {
          for (const [status, count] of answers) this.labels(operation, String(status)).inc(count);
        }
      },
    });
    const seconds = {
      name: durationName, help: 'Arrival to answer.', type: 'histogram', aggregator: 'sum',
    };
    // The registry asks a metric for nothing but these; its type names the library's own classes.
    const histogram = { ...seconds, get: () => Promise.resolve({ ...seconds, values: [...this.#durations()] }) };
    registry.registerMetric(histogram as unknown as Histogram);
  }

  ended(operation: string, status: number, seconds: number): void {
    const counts = this.#operations.get(operation) ?? this.#newOperation(operation);
    counts.answers.set(status, (counts.answers.get(status) ?? 0) + 1);
    counts.seconds += seconds;
    const bounds = this.#boundsSeconds;
    let bucket = 0;
    while (bucket < bounds.length && seconds > bounds[bucket]!) bucket += 1;
    counts.buckets[bucket]! += 1;
  }

  #newOperation(operation: string): OperationCounts {
    const counts = { answers: new Map<number, number>(), buckets: new Float64Array(this.#boundsSeconds.length + 1), seconds: 0 };
    this.#operations.set(operation, counts);
    return counts;
  }

  *#durations(): Generator<{ metricName: string; labels: Record<string, string | number>; value: number }> {
    for (const [operation, { buckets, seconds }] of this.#operations) {
      let count = 0;
      for (const [i, inBucket] of buckets.entries()) {
        count += inBucket;
        yield { metricName: `${durationName}_bucket`, labels: { le: this.#boundsSeconds[i] ?? '+Inf', operation }, value: count };
      }
      yield { metricName: `${durationName}_sum`, labels: { operation }, value: seconds };
      yield { metricName: `${durationName}_count`, labels: { operation }, value: count };
    }
  }
}
