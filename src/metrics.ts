// All Prometheus series, on a registry of this server's own. Collected on the main thread only: workers send
// their timings with their results. Labels come from bounded sets: operations, statuses, loaded models, error codes.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { ModelSeries, type SeriesMaker } from './metrics/model-series.ts';
import { RequestSeries } from './metrics/request-series.ts';
import { SemanticSeries } from './metrics/semantic-series.ts';
import { UpstreamSeries } from './metrics/upstream-series.ts';

/** Twice as long each, 0.5 ms to 16 s: prom-client's own start at 5 ms, where a cached answer is long over. */
const durationBuckets = Array.from({ length: 16 }, (_, i) => 0.0005 * 2 ** i);
const countBuckets = Array.from({ length: 13 }, (_, i) => 2 ** i);
const tokenBuckets = Array.from({ length: 12 }, (_, i) => 8 * 2 ** i);

/** A model's live state, read when somebody scrapes. */
export type ModelGauges = {
  readonly state: string;
  readonly queuedInputs: number;
  readonly queuedTokens: number;
  readonly oldestWaitMs: number;
  readonly runningBatches: number;
  /** Padded tokens in one run at most, as measured; 0 until the model is loaded. */
  readonly runTokensMax: number;
};

export class Metrics {
  readonly registry = new Registry();
  readonly models = new ModelSeries(this.#maker(), durationBuckets);
  readonly semantic = new SemanticSeries(this.#maker());
  readonly upstream = new UpstreamSeries(this.#maker());
  readonly #requests = new RequestSeries(this.registry, durationBuckets);
  readonly #errors = this.#counter('errors_total', 'Error answers by code of the error table.', ['code']);
  readonly #queueSeconds = this.#histogram('queue_duration_seconds', 'Wait of one input before its batch ran.', ['model'], durationBuckets);
  readonly #tokenizeSeconds = this.#histogram('tokenize_duration_seconds', 'Tokenising one batch.', ['model'], durationBuckets);
  readonly #inferenceSeconds = this.#histogram('inference_duration_seconds', 'Session runs of one batch.', ['model'], durationBuckets);
  readonly #batchInputs = this.#histogram('batch_inputs', 'Inputs in one batch.', ['model'], countBuckets);
  readonly #batchTokens = this.#histogram('batch_tokens', 'Tokens in one batch, without padding.', ['model'], tokenBuckets);
  readonly #runs = this.#counter('session_runs_total', 'Session runs; inputs / runs is the batch efficiency.', ['model']);
  readonly #inputs = this.#counter('inputs_total', 'Inputs computed.', ['model']);
  readonly #tokens = this.#counter('tokens_total', 'Tokens computed, special tokens included, padding not.', ['model']);
  readonly #paddingTokens = this.#counter('padding_tokens_total', 'Tokens computed only to fill rows.', ['model']);
  readonly #dropped = this.#counter('inputs_dropped_total', 'Inputs whose client left before they ran; they never run.', ['model']);
  readonly #truncated = this.#counter('inputs_truncated_total', "Inputs cut to the model's length.", ['model']);
  readonly #workerCrashes = this.#counter('worker_crashes_total', 'Worker threads that died and were replaced.', ['model']);
  readonly #deviceFallbacks = this.#counter('device_fallbacks_total', 'Models that run on the CPU though a device was wanted.', ['model']);
  readonly #tritonCalls = this.#counter('triton_calls_total', 'Inference calls to Triton by gRPC status; retries of a call count once.', ['model', 'status']);
  readonly #embeddings = new Map<string, number>();
  readonly #startedMs = performance.now();
  #requestCount = 0;
  #errorCount = 0;

  constructor(version: string) {
    this.#gauge('build_info', 'The running version.', ['version', 'node']).labels(version, process.version).set(1);
    collectDefaultMetrics({ register: this.registry, prefix: 'ortserve_' });
  }

  /** Adds gauges that are read from the owners at scrape time. */
  watch(sources: { requestsInFlight: () => number; sockets?: () => number; models: () => Iterable<[string, ModelGauges]> }): void {
    const model = (name: string, help: string, read: (gauges: ModelGauges) => number) => {
      const gauge = this.#gauge(name, help, ['model'], () => {
        gauge.reset();
        for (const [label, gauges] of sources.models()) gauge.labels(label).set(read(gauges));
      });
    };
    model('queue_inputs', 'Inputs that wait.', (gauges) => gauges.queuedInputs);
    model('queue_tokens', 'Estimated tokens that wait.', (gauges) => gauges.queuedTokens);
    model('queue_age_seconds', 'Wait so far of the input whose turn is next.', (gauges) => gauges.oldestWaitMs / 1000);
    model('batches_running', 'Batches in the workers.', (gauges) => gauges.runningBatches);
    model('run_tokens_max', 'Padded tokens in one session run at most: what was measured to be fastest.', (gauges) => gauges.runTokensMax);
    model('model_ready', '1 when the model answers.', (gauges) => (gauges.state === 'ready' ? 1 : 0));
    const inFlight = this.#gauge('requests_in_flight', 'Requests not yet answered.', [], () => {
      inFlight.set(sources.requestsInFlight());
    });
    const sockets = this.#gauge('websocket_connections', 'Open WebSockets.', [], () => {
      sockets.set(sources.sockets?.() ?? 0);
    });
  }

  requestEnded(operation: string, status: number, durationMs: number, errorCode: string | undefined): void {
    this.#requestCount += 1;
    this.#requests.ended(operation, status, durationMs / 1000);
    if (errorCode === undefined) return;
    this.#errorCount += 1;
    this.#errors.labels(errorCode).inc();
  }

  /** The series of one model, bound to its label once. */
  model(model: string): ModelMetrics {
    const queue = this.#queueSeconds.labels(model);
    const tokenize = this.#tokenizeSeconds.labels(model);
    const inference = this.#inferenceSeconds.labels(model);
    const batchInputs = this.#batchInputs.labels(model);
    const batchTokens = this.#batchTokens.labels(model);
    // A series that exists from the start reads 0, not "no data".
    for (const counter of [this.#inputs, this.#dropped, this.#truncated, this.#workerCrashes]) counter.labels(model).inc(0);
    return {
      batchEnded: (batch) => {
        for (const waitMs of batch.queueMs) queue.observe(waitMs / 1000);
        tokenize.observe(batch.tokenizeMs / 1000);
        inference.observe(batch.runMs / 1000);
        batchInputs.observe(batch.inputs);
        batchTokens.observe(batch.tokens);
        this.#runs.labels(model).inc(batch.runInputs.length);
        this.#inputs.labels(model).inc(batch.inputs);
        this.#tokens.labels(model).inc(batch.tokens);
        this.#paddingTokens.labels(model).inc(batch.tokensPadded - batch.tokens);
      },
      inputsDropped: (count) => this.#dropped.labels(model).inc(count),
      workerCrashed: () => this.#workerCrashes.labels(model).inc(),
      deviceFellBack: () => this.#deviceFallbacks.labels(model).inc(),
      embedded: (inputs, truncated) => {
        this.#embeddings.set(model, (this.#embeddings.get(model) ?? 0) + inputs);
        if (truncated > 0) this.#truncated.labels(model).inc(truncated);
      },
    };
  }

  /** Counts the calls of one model on a Triton server by the gRPC status they ended with. */
  tritonCalls(model: string): (status: string) => void {
    this.#tritonCalls.labels(model, 'OK').inc(0);
    return (status) => this.#tritonCalls.labels(model, status).inc();
  }

  /** The series of the inference history. */
  history(): { written(rows: number): void; dropped(rows: number): void; failed(): void; pending(read: () => number): void } {
    const rows = this.#counter('history_rows_total', 'Rows of the inference history, by what became of them.', ['outcome']);
    const failures = this.#counter('history_failures_total', 'Attempts on its store that failed; the rows waited.', []);
    for (const outcome of ['written', 'dropped']) rows.labels(outcome).inc(0);
    return {
      written: (count) => rows.labels('written').inc(count),
      dropped: (count) => rows.labels('dropped').inc(count),
      failed: () => failures.inc(),
      pending: (read) => {
        const gauge = this.#gauge('history_rows_pending', 'Rows that wait to be written.', [], () => {
          gauge.set(read());
        });
      },
    };
  }

  /** The series of the embedding cache, read from it at scrape time. */
  watchEmbeddingCache(read: () => EmbeddingCacheTotals): void {
    type Value = (totals: EmbeddingCacheTotals) => number;
    const total = (name: string, help: string, values: Value | Readonly<Record<string, Value>>, label = 'outcome') => {
      const isOne = typeof values === 'function';
      const counter = new Counter({
        name: `ortserve_embedding_cache_${name}`,
        help,
        labelNames: isOne ? [] : [label],
        registers: [this.registry],
        collect() {
          const totals = read();
          this.reset();
          if (isOne) return this.inc(values(totals));
          for (const [outcome, value] of Object.entries(values)) this.labels(outcome).inc(value(totals));
        },
      });
      return counter;
    };
    const now = (name: string, help: string, value: (totals: EmbeddingCacheTotals) => number) => {
      const gauge = this.#gauge(`embedding_cache_${name}`, help, [], () => {
        gauge.set(value(read()));
      });
    };
    total('joins_total', 'Inputs that waited for an equal one which was being computed.', ({ joins }) => joins);
    total('computed_total', 'Inputs that the cache had computed.', ({ computed }) => computed);
    total('hits_total', 'Inputs found, by tier.', { memory: ({ memory }) => memory.hits, redis: ({ redis }) => redis?.hits ?? 0 }, 'tier');
    total('misses_total', 'Inputs not found, by tier.', { memory: ({ memory }) => memory.misses, redis: ({ redis }) => redis?.misses ?? 0 }, 'tier');
    total('memory_evictions_total', 'Vectors that made room for others in this process.', ({ memory }) => memory.evictions);
    now('memory_entries', 'Vectors in this process.', ({ memory }) => memory.entries);
    now('memory_bytes', 'Bytes of the vectors in this process, with what holds them.', ({ memory }) => memory.bytes);
    if (read().redis === undefined) return;
    total('redis_errors_total', 'Lookups in Redis that became misses, by reason.', {
      timeout: ({ redis }) => redis?.timeouts ?? 0,
      unavailable: ({ redis }) => redis?.unavailable ?? 0,
      failure: ({ redis }) => redis?.failures ?? 0,
      invalid: ({ redis }) => redis?.invalid ?? 0,
    }, 'reason');
    total('redis_writes_total', 'Vectors for Redis, by what became of them.', {
      written: ({ redis }) => redis?.writes ?? 0,
      failed: ({ redis }) => redis?.writeFailures ?? 0,
      dropped: ({ redis }) => redis?.writesDropped ?? 0,
    });
    total('redis_written_bytes_total', 'Bytes of the vectors for Redis, as float32 and as they were stored.', {
      raw: ({ redis }) => redis?.rawBytes ?? 0,
      stored: ({ redis }) => redis?.storedBytes ?? 0,
    }, 'form');
    now('redis_queued_writes', 'Vectors that wait to be written to Redis.', ({ redis }) => redis?.queuedWrites ?? 0);
    now('redis_up', '1 when Redis is asked.', ({ redis }) => (redis?.isUp === true ? 1 : 0));
  }

  /** The series of models whose worker does not come back. */
  stuck(): { add(model: string): void } {
    const gauge = this.#gauge('model_stuck', '1 when a worker of the model does not come back from a run.', ['model']);
    return { add: (model) => gauge.labels(model).set(1) };
  }

  /** The series of uploads; an outcome is `published` or the code of an error. */
  uploads(): { ended(outcome: string): void } {
    const uploads = this.#counter('uploads_total', 'Uploads of models, by what became of them.', ['outcome']);
    uploads.labels('published').inc(0);
    return { ended: (outcome) => uploads.labels(outcome).inc() };
  }

  /** The totals that the FastEmbed-style service shows as JSON (seed 001, `/metrics`) and `/stats` repeats. */
  totals(): { requests: number; errors: number; embeddings: number; uptimeSeconds: number; embeddingsByModel: [string, number][] } {
    let embeddings = 0;
    for (const count of this.#embeddings.values()) embeddings += count;
    return {
      requests: this.#requestCount,
      errors: this.#errorCount,
      embeddings,
      uptimeSeconds: (performance.now() - this.#startedMs) / 1000,
      embeddingsByModel: [...this.#embeddings],
    };
  }

  #maker(): SeriesMaker {
    return {
      counter: (...series) => this.#counter(...series),
      gauge: (...series) => this.#gauge(...series),
      histogram: (...series) => this.#histogram(...series),
    };
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name: `ortserve_${name}`, help, labelNames, registers: [this.registry] });
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[], collect?: () => void): Gauge<Label> {
    return new Gauge({ name: `ortserve_${name}`, help, labelNames, registers: [this.registry], ...(collect && { collect }) });
  }

  #histogram<Label extends string>(name: string, help: string, labelNames: readonly Label[], buckets: number[]): Histogram<Label> {
    return new Histogram({ name: `ortserve_${name}`, help, labelNames, buckets, registers: [this.registry] });
  }
}

/** What `/metrics` tells of the embedding cache. */
export type EmbeddingCacheTotals = {
  readonly joins: number;
  readonly computed: number;
  readonly memory: {
    readonly hits: number;
    readonly misses: number;
    readonly evictions: number;
    readonly entries: number;
    readonly bytes: number;
  };
  readonly redis: Readonly<Record<'hits' | 'misses' | 'timeouts' | 'unavailable' | 'failures' | 'invalid', number>>
    & Readonly<Record<'writes' | 'writeFailures' | 'writesDropped' | 'queuedWrites' | 'rawBytes' | 'storedBytes', number>>
    & { readonly isUp: boolean } | undefined;
};

/** What one batch cost; `queueMs` has the wait of each of its inputs. */
export type BatchFacts = {
  readonly inputs: number;
  readonly tokens: number;
  readonly tokensPadded: number;
  /** Of each session run. */
  readonly runInputs: readonly number[];
  readonly tokenizeMs: number;
  readonly runMs: number;
  readonly queueMs: readonly number[];
};

export type ModelMetrics = {
  batchEnded(batch: BatchFacts): void;
  inputsDropped(count: number): void;
  workerCrashed(): void;
  deviceFellBack(): void;
  /** One request was answered with `inputs` vectors, `truncated` of them from shortened inputs. */
  embedded(inputs: number, truncated: number): void;
};
