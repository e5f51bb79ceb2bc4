// All models of the server under the protocol's names: tensor models by their folders, then embedding models.
import type { EmbedEngine } from '../../engine/embed.ts';
import { ServerError } from '../../errors.ts';
import { echoCharsMax } from '../../limits.ts';
import type { KnownModel, Registry } from '../../registry/registry.ts';
import type { TensorEntry, TensorModels } from '../../registry/tensor-models.ts';
import type { InputLimits } from '../inputs.ts';
import type { Recorder } from '../tensors/record.ts';
import { EmbeddingTarget } from './embedding-target.ts';
import type { KserveModel } from './model.ts';
import { TensorTarget } from './tensor-target.ts';

export type KserveModelsInit = {
  readonly tensors: TensorModels;
  readonly registry: Registry;
  readonly engine: EmbedEngine;
  /** For the texts of embedding models. */
  readonly limits: InputLimits;
  /** Told of every inference on a tensor model. */
  readonly record?: Recorder | undefined;
};

export class KserveModels {
  readonly #init: KserveModelsInit;

  constructor(init: KserveModelsInit) {
    this.#init = init;
  }

  /** One version, the highest when `version` is ''. Throws MODEL_NOT_FOUND or MODEL_NOT_ALLOWED. */
  find(name: string, version: string): KserveModel {
    const entries = this.#init.tensors.versionsOf(name, version === '' ? undefined : version);
    const versions = entries.map(({ files }) => files.version);
    const entry = version === '' ? entries.at(-1) : entries.find(({ files }) => files.version === version);
    if (entry !== undefined) return this.#tensor(entry, versions);
    if (entries.length === 0) {
      const model = this.#embedding(this.#init.registry.find(name, 'model'));
      if (version === '' || version === model.version) return model;
    }
    const shown = [name, version].map((text) => JSON.stringify(text.slice(0, echoCharsMax)));
    throw new ServerError('MODEL_NOT_FOUND', `The model ${shown[0]} has no version ${shown[1]}.`, { field: 'version' });
  }

  /** Whether that version is loaded; a model that does not exist is not. */
  isReady(name: string, version: string): boolean {
    return this.#known(() => this.find(name, version).state === 'ready') ?? false;
  }

  /** Loads the highest version that the folder now holds. Throws as `find` does, and why it cannot be loaded. */
  async load(name: string): Promise<void> {
    this.#init.tensors.refresh();
    await this.find(name, '').load();
  }

  /** Starts to unload every version. What does not exist is not loaded, which is no error here as it is none in Triton. */
  unload(name: string): void {
    const { versions = [] } = this.#known(() => this.find(name, '')) ?? {};
    for (const version of versions) this.find(name, version).unload();
  }

  /** Every version of every model. */
  list(): readonly KserveModel[] {
    const entries = this.#init.tensors.list();
    const versions = (name: string): string[] => entries.flatMap(({ files }) => (files.name === name ? [files.version] : []));
    const tensors = entries.map((entry) => this.#tensor(entry, versions(entry.files.name)));
    return [...tensors, ...this.#init.registry.list().map((model) => this.#embedding(model))];
  }

  #known<Value>(look: () => Value): Value | undefined {
    try {
      return look();
    } catch (error) {
      if (error instanceof ServerError && error.code === 'MODEL_NOT_FOUND') return undefined;
      throw error;
    }
  }

  #tensor(entry: TensorEntry, versions: readonly string[]): KserveModel {
    return new TensorTarget(this.#init.tensors, entry, versions, this.#init.record ?? (() => {}));
  }

  #embedding(model: KnownModel): KserveModel {
    return new EmbeddingTarget(model, this.#init.engine, this.#init.limits);
  }
}
