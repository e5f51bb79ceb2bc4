// The Prometheus series of the semantic cache. Namespaces come from API keys: only the largest have a label of their own.
import type { Counter, Histogram } from 'prom-client';
import type { SeriesMaker } from './model-series.ts';

/** A search takes a tenth of a millisecond to some: twice as long each, from 50 us to 0.4 s. */
const searchBuckets = Array.from({ length: 14 }, (_, i) => 0.00005 * 2 ** i);
const namespacesMax = 20;
const outcomes = ['exact', 'semantic', 'miss', 'near', 'refused'] as const;
const reasons = ['evicted', 'expired', 'deleted'] as const;

/** What is read from the cache when somebody scrapes. */
export type SemanticTotals = {
  readonly entriesInGraphs: number;
  readonly entriesOfOtherModels: number;
  readonly namespaces: readonly { readonly namespace: string; readonly entries: number; readonly bytes: number }[];
};

export class SemanticSeries {
  readonly #make: SeriesMaker;
  readonly #lookups: Counter<'outcome'>;
  readonly #searchSeconds: Histogram;
  readonly #falseHits: Counter;
  readonly #left: Counter<'reason'>;
  readonly #storeFailures: Counter;
  readonly #savedSeconds: Counter;
  readonly #savedTokens: Counter;

  constructor(make: SeriesMaker) {
    this.#make = make;
    this.#lookups = make.counter('semantic_lookups_total',
      'Lookups: hit by the exact text or by meaning; missed, missed nearly, or near enough and refused by the verdict.', ['outcome']);
    this.#searchSeconds = make.histogram('semantic_search_duration_seconds', 'Search for near questions, embedding not included.', [], searchBuckets);
    this.#falseHits = make.counter('semantic_false_hits_total', 'Hits that somebody reported as wrong.', []);
    this.#left = make.counter('semantic_entries_left_total', 'Entries that left.', ['reason']);
    this.#storeFailures = make.counter('semantic_store_failures_total', 'Writes that the store did not take.', []);
    this.#savedSeconds = make.counter('semantic_saved_upstream_seconds_total', 'Time that the upstream took for the answers that were hit.', []);
    this.#savedTokens = make.counter('semantic_saved_tokens_total', 'Tokens that the upstream counted for the answers that were hit.', []);
    // A series that exists from the start reads 0, not "no data".
    for (const outcome of outcomes) this.#lookups.labels(outcome).inc(0);
    for (const reason of reasons) this.#left.labels(reason).inc(0);
  }

  looked(outcome: (typeof outcomes)[number]): void {
    this.#lookups.labels(outcome).inc();
  }

  searched(ms: number): void {
    this.#searchSeconds.observe(ms / 1000);
  }

  falseHit(): void {
    this.#falseHits.inc();
  }

  left(reason: (typeof reasons)[number], entries: number): void {
    this.#left.labels(reason).inc(entries);
  }

  storeFailed(): void {
    this.#storeFailures.inc();
  }

  /** A hit spared the upstream this much. */
  saved(upstreamMs: number, tokens: number): void {
    this.#savedSeconds.inc(upstreamMs / 1000);
    this.#savedTokens.inc(tokens);
  }

  watch(read: () => SemanticTotals): void {
    const each = (name: string, help: string, value: (of: SemanticTotals['namespaces'][number]) => number) => {
      const gauge = this.#make.gauge(name, help, ['namespace'], () => {
        gauge.reset();
        const largest = [...read().namespaces].sort((left, right) => right.bytes - left.bytes);
        for (const namespace of largest.slice(0, namespacesMax)) gauge.labels(namespace.namespace).set(value(namespace));
        const rest = largest.slice(namespacesMax).reduce((sum, namespace) => sum + value(namespace), 0);
        if (rest > 0) gauge.labels('_others').set(rest);
      });
    };
    each('semantic_entries', 'Entries, of the largest namespaces and of the others together.', ({ entries }) => entries);
    each('semantic_bytes', 'Estimated memory of the entries, by namespace likewise.', ({ bytes }) => bytes);
    const inGraphs = this.#make.gauge('semantic_graph_entries', 'Entries that are searched through a graph; the others are scanned.', [], () => {
      inGraphs.set(read().entriesInGraphs);
    });
    const others = this.#make.gauge('semantic_other_model_entries', 'Entries of another embedding model: found by their exact text only.', [], () => {
      others.set(read().entriesOfOtherModels);
    });
  }
}
