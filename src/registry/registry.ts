// The models this server has, by name. A model is loading, then ready or failed, and draining at the end.
import { Batcher } from '../batch/batcher.ts';
import type { Backend } from '../backend/backend.ts';
import type { EmbeddingManifest } from '../backend/manifest.ts';
import { ServerError } from '../errors.ts';
import { echoCharsMax } from '../limits.ts';
import type { ModelGauges, ModelMetrics } from '../metrics.ts';

export type ModelState = 'loading' | 'ready' | 'failed' | 'draining';

/** A model that answers. */
export type ReadyModel = {
  readonly manifest: EmbeddingManifest;
  readonly backend: Backend;
  readonly batcher: Batcher;
  readonly metrics: ModelMetrics;
};

export class Model {
  readonly manifest: EmbeddingManifest;
  readonly createdMs = Date.now();
  readonly metrics: ModelMetrics;
  #state: ModelState = 'loading';
  #ready: ReadyModel | undefined;
  readonly #loading: Promise<ReadyModel>;

  constructor(manifest: EmbeddingManifest, opening: Promise<Backend>, metrics: ModelMetrics, queueTokensMax: number) {
    this.manifest = manifest;
    this.metrics = metrics;
    this.#loading = opening.then(
      (backend) => {
        this.#ready = { manifest, backend, batcher: new Batcher(backend, queueTokensMax, metrics), metrics };
        this.#state = 'ready';
        if (backend.description.fallback !== undefined) metrics.deviceFellBack();
        this.#tune(this.#ready);
        return this.#ready;
      },
      (error: unknown) => {
        this.#state = 'failed';
        throw error;
      },
    );
    // Whoever needs the outcome awaits ready(); nobody doing so is not a crash.
    this.#loading.catch(() => {});
  }

  get state(): ModelState {
    return this.#state;
  }

  /** The loaded model's parts, undefined until then. */
  get loaded(): ReadyModel | undefined {
    return this.#ready;
  }

  get gauges(): ModelGauges {
    const batcher = this.#ready?.batcher;
    return {
      state: this.#state,
      queuedInputs: batcher?.queuedInputs ?? 0,
      queuedTokens: batcher?.queuedTokens ?? 0,
      oldestWaitMs: batcher?.oldestWaitMs ?? 0,
      runningBatches: batcher?.runningBatches ?? 0,
      runTokensMax: this.#ready?.backend.runCost.tokensMax ?? 0,
    };
  }

  /** Waits for the load; rejects with its error. */
  ready(): Promise<ReadyModel> {
    return this.#loading;
  }

  /** Beside the first requests, so that the start is not held up; a model that closes meanwhile ends it. */
  #tune({ backend, batcher }: ReadyModel): void {
    backend.tune((step) => batcher.alone(step)).catch(() => {});
  }

  /** Waits for what is queued and running, then frees the threads. New work is refused by the caller. */
  async close(): Promise<void> {
    const ready = await this.#loading.catch(() => undefined);
    if (ready === undefined) return;
    this.#state = 'draining';
    await ready.batcher.drained();
    await ready.backend.close();
  }
}

export class Registry {
  /** A Map: model names come from clients, and `__proto__` is one. */
  readonly #models = new Map<string, Model>();
  readonly #aliases = new Map<string, string>();
  readonly #allowed: ReadonlySet<string>;

  /** @param allowed names that clients may use; empty allows all. */
  constructor(allowed: readonly string[]) {
    this.#allowed = new Set(allowed);
  }

  /** `aliases` are other names clients know the model by. */
  add(model: Model, aliases: readonly string[] = []): void {
    this.#models.set(model.manifest.name, model);
    for (const alias of aliases) this.#aliases.set(alias, model.manifest.name);
  }

  list(): readonly Model[] {
    return [...this.#models.values()].filter((model) => this.#allows(model.manifest.name));
  }

  /** Throws MODEL_NOT_FOUND or MODEL_NOT_ALLOWED, naming `field`. */
  find(name: string, field: string): Model {
    const canonical = this.#aliases.get(name) ?? name;
    const shown = JSON.stringify(name.slice(0, echoCharsMax));
    if (!this.#allows(canonical)) {
      throw new ServerError('MODEL_NOT_ALLOWED', `The model ${shown} is not allowed on this server.`, { field });
    }
    const model = this.#models.get(canonical);
    if (model === undefined) throw new ServerError('MODEL_NOT_FOUND', `The model ${shown} does not exist.`, { field });
    return model;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#models.values()].map((model) => model.close()));
  }

  /** The list may name a model by any of its names. */
  #allows(canonical: string): boolean {
    if (this.#allowed.size === 0 || this.#allowed.has(canonical)) return true;
    for (const name of this.#allowed) if (this.#aliases.get(name) === canonical) return true;
    return false;
  }
}
