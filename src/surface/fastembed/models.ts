// Embedding models as rows of /models (seed 001): what they are, whether they are loaded, how much they are used.
import { ServerError } from '../../errors.ts';
import type { KnownModel, Registry } from '../../registry/registry.ts';

export type EmbeddingModelRow = {
  readonly version: null;
  readonly name: string;
  readonly model_name: string;
  readonly type: 'embedding';
  readonly status: string;
  readonly loaded: boolean;
  readonly dimension: number | null;
  readonly max_length: number | null;
  readonly pooling: readonly string[] | null;
  readonly precision: string | null;
  readonly device: string | null;
  /** Of the file; what it takes in memory is a multiple of that, one part a worker. */
  readonly size_bytes: number | null;
  readonly pinned: boolean;
  readonly uses: number;
  readonly idle_seconds: number;
};

/** The embedding models as /models and its orders see them. */
export function embeddingModelList(registry: Registry) {
  const listed = (model: KnownModel) => ({
    row: () => embeddingModelRow(model),
    load: () => model.load(),
    unload: () => model.unload(),
    reload: () => model.slot.reload(),
  });
  return {
    list: () => registry.list().map(listed),
    find: (name: string) => {
      try {
        return listed(registry.find(name, 'version'));
      } catch (error) {
        // One that clients may not use is as good as none here.
        if (error instanceof ServerError) return undefined;
        throw error;
      }
    },
  };
}

/** What is not known before the first load is null; looking never loads. */
function embeddingModelRow(model: KnownModel): EmbeddingModelRow {
  const { manifest, slot } = model;
  const description = slot.model?.backend.description;
  const pooling = manifest?.modules.flatMap((module) => (module.kind === 'pooling' ? module.modes : []));
  return {
    version: null,
    name: model.name,
    model_name: model.name,
    type: 'embedding',
    status: model.state,
    loaded: model.state === 'ready',
    dimension: description?.dimension ?? null,
    max_length: manifest?.inputTokensMax ?? null,
    pooling: pooling ?? null,
    precision: manifest?.precision ?? null,
    device: description?.provider ?? null,
    size_bytes: model.fileBytes ?? null,
    pinned: model.pinned,
    uses: slot.uses,
    idle_seconds: Math.round(slot.idleMs / 1000),
  };
}
