// The Prometheus series of the models' lives, and of inference on tensor models. Labels are names that the operator
// gave: folders and options. What only has a state is read from its owner when somebody scrapes.
import type { Counter, Gauge, Histogram } from 'prom-client';

/** Makes series on the server's registry, their names prefixed. */
export type SeriesMaker = {
  counter<Label extends string>(name: string, help: string, labels: readonly Label[]): Counter<Label>;
  gauge<Label extends string>(name: string, help: string, labels: readonly Label[], collect?: () => void): Gauge<Label>;
  histogram<Label extends string>(name: string, help: string, labels: readonly Label[], buckets: number[]): Histogram<Label>;
};

/** Inferences on one version of a tensor model. */
export type TensorSeries = {
  answered(queueMs: number, runMs: number): void;
  failed(code: string): void;
};

/** A model as it is now; `version` is '' for those that have none. */
export type ModelFacts = {
  readonly model: string;
  readonly version: string;
  readonly loaded: boolean;
  /** Of the file it was loaded from; undefined where it has none here. */
  readonly fileBytes: number | undefined;
  /** Inferences that wait or run; undefined where other series tell. */
  readonly pending: number | undefined;
};

export type ModelSources = {
  readonly models: () => readonly ModelFacts[];
  readonly loadedMax: number;
};

const model = ['model', 'version'] as const;

export class ModelSeries {
  readonly #make: SeriesMaker;
  readonly #loads: Counter<'model' | 'version' | 'outcome'>;
  readonly #loadSeconds: Histogram<'model' | 'version'>;
  readonly #evictions: Counter<'reason'>;
  readonly #requests: Counter<'model' | 'version'>;
  readonly #failures: Counter<'model' | 'version' | 'code'>;
  readonly #queueSeconds: Histogram<'model' | 'version'>;
  readonly #inferenceSeconds: Histogram<'model' | 'version'>;
  readonly #crashes: Counter;

  constructor(make: SeriesMaker, durationBuckets: number[]) {
    this.#make = make;
    this.#loads = make.counter('model_loads_total', 'Loads and reloads of models, by outcome.', [...model, 'outcome']);
    this.#loadSeconds = make.histogram('model_load_duration_seconds', 'Loads that succeeded, pulling included.', model, durationBuckets);
    this.#evictions = make.counter('model_evictions_total', 'Idle models that left: for others (lru), or for being idle too long (ttl).', ['reason']);
    this.#requests = make.counter('tensor_requests_total', 'Inferences on tensor models, failed ones included.', model);
    this.#failures = make.counter('tensor_failures_total', 'Inferences on tensor models that failed, by code of the error table.', [...model, 'code']);
    this.#queueSeconds = make.histogram('tensor_queue_duration_seconds', 'Wait of an inference before it ran.', model, durationBuckets);
    this.#inferenceSeconds = make.histogram('tensor_inference_duration_seconds', 'Session run of an inference.', model, durationBuckets);
    this.#crashes = make.counter('tensor_worker_crashes_total', 'Worker threads of tensor models that died.', []);
    // A series that exists from the start reads 0, not "no data".
    for (const reason of ['lru', 'ttl']) this.#evictions.labels(reason).inc(0);
  }

  loaded(name: string, version: string, loadMs: number): void {
    this.#loads.labels(name, version, 'success').inc();
    this.#loadSeconds.labels(name, version).observe(loadMs / 1000);
  }

  loadFailed(name: string, version: string): void {
    this.#loads.labels(name, version, 'failure').inc();
  }

  evicted(reason: 'lru' | 'ttl'): void {
    this.#evictions.labels(reason).inc();
  }

  tensorWorkerCrashed(): void {
    this.#crashes.inc();
  }

  tensor(name: string, version: string): TensorSeries {
    const requests = this.#requests.labels(name, version);
    requests.inc(0);
    return {
      answered: (queueMs, runMs) => {
        requests.inc();
        this.#queueSeconds.labels(name, version).observe(queueMs / 1000);
        this.#inferenceSeconds.labels(name, version).observe(runMs / 1000);
      },
      failed: (code) => {
        requests.inc();
        this.#failures.labels(name, version, code).inc();
      },
    };
  }

  watch({ models, loadedMax }: ModelSources): void {
    const each = (name: string, help: string, read: (facts: ModelFacts) => number | undefined) => {
      const gauge = this.#make.gauge(name, help, model, () => {
        gauge.reset();
        for (const facts of models()) {
          const value = read(facts);
          if (value !== undefined) gauge.labels(facts.model, facts.version).set(value);
        }
      });
    };
    each('tensor_model_ready', '1 when the version is in memory.', ({ version, loaded }) => (version === '' ? undefined : Number(loaded)));
    each('model_file_bytes', 'Size of the file that a model in memory came from.', (facts) => (facts.loaded ? facts.fileBytes : undefined));
    each('tensor_runs_pending', 'Inferences that wait or run.', ({ pending }) => pending);
    const loaded = this.#make.gauge('models_loaded', 'Models in memory.', [], () => {
      loaded.set(models().filter((facts) => facts.loaded).length);
    });
    this.#make.gauge('models_loaded_max', 'MAX_CACHED_MODELS: beyond it idle models leave.', []).set(loadedMax);
  }
}
