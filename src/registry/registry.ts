// The embedding models that this server knows, by name. Each is loaded on demand or at the start, shared by
// leases, and leaves when it is idle too long or others need the room.
import type { ModelTraits } from '../backend/manifest.ts';
import type { BatchObserver } from '../batch/batcher.ts';
import { ServerError } from '../errors.ts';
import { echoCharsMax, stuckRetryMs } from '../limits.ts';
import type { ModelGauges, ModelMetrics } from '../metrics.ts';
import type { EmbeddingModel } from './embedding-model.ts';
import { InferenceStatistics } from './inference-statistics.ts';
import type { ModelCache } from './model-cache.ts';
import { onnxFileBytes } from './onnx-file.ts';
import { Slot, type SlotState } from './slot.ts';

export type ModelEntry = {
  /** The name that clients ask for; `aliases` are others they know it by. */
  readonly name: string;
  readonly aliases: readonly string[];
  /** Stays loaded, whatever comes. */
  readonly pinned: boolean;
  /** Runs on another server: it takes no room here, so it neither counts nor leaves. */
  readonly remote?: { isAvailable(): boolean };
  readonly metrics: ModelMetrics;
  /**
   * Opens it; rejects with what clients are told.
   * @param observer told of its batches
   * @param onStuck told when a worker does not come back
   */
  open(observer: BatchObserver, onStuck: () => void): Promise<EmbeddingModel>;
};

/** A model and its state; looking at it never loads it. */
export class KnownModel {
  readonly name: string;
  readonly pinned: boolean;
  readonly metrics: ModelMetrics;
  readonly createdMs = Date.now();
  readonly statistics = new InferenceStatistics();
  readonly slot: Slot<EmbeddingModel>;
  readonly #remote: ModelEntry['remote'];
  readonly #observer: BatchObserver;
  /** As it was when last loaded: still known after the model has left. */
  #manifest: ModelTraits | undefined;
  #fileBytes: number | undefined;

  constructor(entry: ModelEntry, cache: ModelCache, refuseClosed: () => void) {
    this.name = entry.name;
    this.pinned = entry.pinned;
    this.#remote = entry.remote;
    this.metrics = entry.metrics;
    this.#observer = {
      batchEnded: (batch) => {
        entry.metrics.batchEnded(batch);
        this.statistics.batchEnded(batch);
      },
      inputsDropped: (count) => entry.metrics.inputsDropped(count),
    };
    const open = async () => {
      refuseClosed();
      if (entry.remote === undefined) cache.makeRoom();
      const onStuck = () => this.slot.lose(new ServerError('MODEL_STUCK', undefined, { retryAfterMs: stuckRetryMs }));
      const model = await entry.open(this.#observer, onStuck);
      this.#manifest = model.manifest;
      const { onnxFile } = model.manifest;
      this.#fileBytes = onnxFile === undefined ? undefined : onnxFileBytes(onnxFile);
      return model;
    };
    this.slot = new Slot(open, () => cache.makeRoom());
  }

  /** `unavailable`: the server that computes it is away, loaded or not. */
  get state(): SlotState | 'unavailable' {
    return this.#remote?.isAvailable() === false ? 'unavailable' : this.slot.state;
  }

  get manifest(): ModelTraits | undefined {
    return this.#manifest;
  }

  /** Of the file it was last loaded from. */
  get fileBytes(): number | undefined {
    return this.#fileBytes;
  }

  /** Loads it unless it is loaded; after a failure it is tried again at once. */
  async load(): Promise<void> {
    if (this.state === 'failed') await this.slot.reload();
    else (await this.slot.lease()).release();
  }

  /** @returns whether there was something to unload */
  async unload(): Promise<boolean> {
    const unloaded = this.state !== 'absent' && this.state !== 'failed';
    await this.slot.unload();
    return unloaded;
  }

  get gauges(): ModelGauges {
    const model = this.slot.model;
    return {
      state: this.state,
      queuedInputs: model?.batcher.queuedInputs ?? 0,
      queuedTokens: model?.batcher.queuedTokens ?? 0,
      oldestWaitMs: model?.batcher.oldestWaitMs ?? 0,
      runningBatches: model?.batcher.runningBatches ?? 0,
      runTokensMax: model?.backend.runCost.tokensMax ?? 0,
    };
  }
}

export class Registry {
  /** Maps: model names come from clients, and `__proto__` is one. */
  readonly #models = new Map<string, KnownModel>();
  readonly #aliases = new Map<string, string>();
  readonly #allowed: ReadonlySet<string>;
  readonly #cache: ModelCache;
  #isClosed = false;

  /** @param allowed names that clients may use; empty allows all. */
  constructor(cache: ModelCache, allowed: readonly string[]) {
    this.#cache = cache;
    this.#allowed = new Set(allowed);
  }

  add(entry: ModelEntry): KnownModel {
    const model = new KnownModel(entry, this.#cache, () => {
      if (this.#isClosed) throw new ServerError('MODEL_NOT_READY', 'The server is shutting down.');
    });
    this.#models.set(entry.name, model);
    // The first model keeps a short name that two would share.
    for (const alias of entry.aliases) if (!this.#aliases.has(alias)) this.#aliases.set(alias, entry.name);
    if (entry.remote === undefined) this.#cache.add(entry.name, model.slot, entry.pinned);
    return model;
  }

  /** Those that clients may use. */
  list(): readonly KnownModel[] {
    return [...this.#models.values()].filter(({ name }) => this.#allows(name));
  }

  /** Throws MODEL_NOT_FOUND or MODEL_NOT_ALLOWED, naming `field`. */
  find(name: string, field: string): KnownModel {
    const canonical = this.#models.has(name) ? name : (this.#aliases.get(name) ?? name);
    if (!this.#allows(canonical)) {
      throw new ServerError('MODEL_NOT_ALLOWED', `The model ${shown(name)} is not allowed on this server.`, { field });
    }
    const model = this.#models.get(canonical);
    if (model === undefined) throw new ServerError('MODEL_NOT_FOUND', `The model ${shown(name)} does not exist.`, { field });
    return model;
  }

  /** Whether a model is known by that name, whatever the case, and whether clients may use it or not. */
  isTaken(name: string): boolean {
    const plain = name.toLowerCase();
    return [...this.#models.keys(), ...this.#aliases.keys()].some((each) => each.toLowerCase() === plain);
  }

  /** Waits for leases, then frees every model. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cache.close();
    await Promise.all([...this.#models.values()].map(({ slot }) => slot.unload()));
  }

  /** The list may name a model by any of its names. */
  #allows(canonical: string): boolean {
    if (this.#allowed.size === 0 || this.#allowed.has(canonical)) return true;
    for (const name of this.#allowed) if (this.#aliases.get(name) === canonical) return true;
    return false;
  }
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, echoCharsMax));
}
