// A loaded embedding model: its backend, and the batcher in front of it.
import type { Backend } from '../backend/backend.ts';
import type { ModelTraits } from '../backend/manifest.ts';
import { Batcher, type BatchObserver } from '../batch/batcher.ts';
import type { Loaded } from './slot.ts';

/** `Traits`: more than requests need, of a model that runs here. */
export class EmbeddingModel<Traits extends ModelTraits = ModelTraits> implements Loaded {
  readonly manifest: Traits;
  readonly backend: Backend;
  readonly batcher: Batcher;
  /** Names weights, tokenizer, modules and revision: two models with one identity give the same vectors. */
  readonly identity: string;
  /** What goes on beside the requests, one after another. */
  #beside: Promise<void>;

  constructor(
    manifest: Traits, backend: Backend, queueTokensMax: number, observer: BatchObserver, identity: string,
  ) {
    this.manifest = manifest;
    this.identity = identity;
    this.backend = backend;
    this.batcher = new Batcher(backend, queueTokensMax, observer);
    // Beside the first requests, so that the start is not held up; a model that closes meanwhile ends it.
    this.#beside = backend.tune((step) => this.batcher.alone(step)).catch(() => {});
  }

  /** Does some work once the model is measured; a close waits for it. It must not reject. */
  whenMeasured(work: () => Promise<void>): void {
    this.#beside = this.#beside.then(work);
  }

  /** Waits for what is queued and running, then frees threads and memory. */
  async close(): Promise<void> {
    await this.batcher.drained();
    await this.backend.close();
    await this.#beside;
  }
}
