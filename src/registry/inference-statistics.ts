// What a model has done since the server started, as KServe's statistics extension counts it.
// Invariant: counts and sums only, so that it costs the same after a billion inferences.
import type { BatchFacts } from '../metrics.ts';

export type Duration = { count: number; ms: number };

export type BatchDurations = { readonly input: Duration; readonly infer: Duration; readonly output: Duration };

/** Sizes of runs that are counted apart; what comes later is counted as size 0. */
const batchSizesMax = 256;

/** How long the parts of one inference took. */
export type InferenceTimes = {
  /** From the request's arrival at the model until its end. */
  readonly totalMs: number;
  readonly queueMs: number;
  /** Checking the inputs. */
  readonly inputMs: number;
  readonly inferMs: number;
  /** Bringing the outputs back. */
  readonly outputMs: number;
};

export class InferenceStatistics {
  readonly success = newDuration();
  readonly fail = newDuration();
  readonly queue = newDuration();
  readonly input = newDuration();
  readonly infer = newDuration();
  readonly output = newDuration();
  readonly cacheHit = newDuration();
  readonly cacheMiss = newDuration();
  /** Items: rows of a model that batches, texts of an embedding model. */
  inferences = 0;
  /** Runs of the model; several requests may share one. */
  executions = 0;
  /** Milliseconds since 1970; 0 for never. */
  lastInferenceMs = 0;
  /** By the items of one run; sizes are bounded by what a model takes at once. */
  readonly #batches = new Map<number, BatchDurations>();

  /** By size. */
  get batches(): Iterable<readonly [items: number, durations: BatchDurations]> {
    return this.#batches;
  }

  succeeded(items: number, times: InferenceTimes): void {
    this.inferences += items;
    this.lastInferenceMs = Date.now();
    add(this.success, times.totalMs);
    add(this.queue, times.queueMs);
    add(this.input, times.inputMs);
    add(this.infer, times.inferMs);
    add(this.output, times.outputMs);
  }

  /** One run of the model, for however many requests. */
  executed(items: number, times: Pick<InferenceTimes, 'inputMs' | 'inferMs' | 'outputMs'>): void {
    this.executions += 1;
    // Models that do not batch take any size; those are told apart up to a bound only.
    const size = this.#batches.has(items) || this.#batches.size < batchSizesMax ? items : 0;
    const batch = this.#batches.get(size) ?? { input: newDuration(), infer: newDuration(), output: newDuration() };
    this.#batches.set(size, batch);
    add(batch.input, times.inputMs);
    add(batch.infer, times.inferMs);
    add(batch.output, times.outputMs);
  }

  /** A batch of an embedding model. Its runs were not timed one by one: each has its inputs' share. */
  batchEnded({ inputs, runInputs, tokenizeMs, runMs }: Pick<BatchFacts, 'inputs' | 'runInputs' | 'tokenizeMs' | 'runMs'>): void {
    for (const items of runInputs) {
      const share = items / inputs;
      this.executed(items, { inputMs: tokenizeMs * share, inferMs: runMs * share, outputMs: 0 });
    }
  }

  failed(totalMs: number): void {
    add(this.fail, totalMs);
  }

  /** Answered from memory: no item of it counts as an inference. */
  hit(lookupMs: number): void {
    add(this.cacheHit, lookupMs);
  }

  missed(lookupMs: number): void {
    add(this.cacheMiss, lookupMs);
  }
}

function newDuration(): Duration {
  return { count: 0, ms: 0 };
}

function add(duration: Duration, ms: number): void {
  duration.count += 1;
  duration.ms += Math.max(0, ms);
}
