// When graphs are built, loaded and saved: after the store has told its entries, now and then, and at the end.
import { semanticGraphRowsMin, semanticSaveEveryMs } from '../../limits.ts';
import { Graphs } from './graphs.ts';
import type { Holdings } from './holdings.ts';
import type { Held, Namespace } from './namespace.ts';
import { Snapshots } from './snapshots.ts';
import type { Partition } from './types.ts';
import { VectorIndex } from './vector-index.ts';
import { noModel, type VectorModel } from './vector-model.ts';

export type GraphOptions = {
  /** Folder for saved graphs; without it each start builds them. */
  readonly directory?: string | undefined;
  /** Partitions with fewer entries are scanned. */
  readonly rowsMin?: number;
};

type Place = { readonly namespace: Namespace; readonly key: string; readonly index: VectorIndex<Held> };

/** Share of rows that came or went since it was saved, from which a graph is worth saving again. */
const changesMin = 0.05;

export class GraphKeeper {
  readonly #graphs: Graphs;
  readonly #snapshots: Snapshots | undefined;
  #loading = true;
  /** Whose vectors the graphs have. */
  #model = noModel;
  #saving: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    { directory, rowsMin = semanticGraphRowsMin }: GraphOptions, log: { warn(fields: Record<string, unknown>, message: string): void },
  ) {
    this.#graphs = new Graphs(rowsMin, log);
    this.#snapshots = directory === undefined ? undefined : new Snapshots(directory, log);
  }

  makeIndex(dimension: number): VectorIndex<Held> {
    return new VectorIndex<Held>(dimension, this.#graphs, this.#loading);
  }

  /** From now on indexes are made without a graph until loaded() is called. */
  loading(): void {
    this.#loading = true;
  }

  /** Every entry is told. Graphs come from the disk before it resolves; the others are built meanwhile. */
  async loaded(holdings: Holdings, model: VectorModel): Promise<void> {
    // Before a model is known no graph is anybody's, and those of the next one must not be taken for leftovers.
    if (model.dimension === 0) return;
    this.#loading = false;
    this.#model = model;
    const all = places(holdings);
    for (const { namespace, key, index } of all) {
      if (index.size >= this.#graphs.rowsMin && index.graphSize === 0) await this.#snapshots?.restore(index, namespace, key, model);
      index.resume();
    }
    await this.#snapshots?.clean(all.map(partitionOf), model);
    this.#timer ??= setInterval(() => {
      this.#saving ??= this.#save(holdings, this.#model).finally(() => (this.#saving = undefined));
    }, semanticSaveEveryMs).unref();
  }

  /** Somebody deleted entries there. */
  async forget(partitions: readonly Partition[], model: VectorModel): Promise<void> {
    // Whose graph has their vectors cannot be told before a model is known.
    if (model.dimension === 0) return this.#snapshots?.clean([], model);
    for (const partition of partitions) await this.#snapshots?.forget(partition, model);
  }

  async close(holdings: Holdings, model: VectorModel): Promise<void> {
    clearInterval(this.#timer);
    await this.#saving;
    await this.#save(holdings, model);
    for (const { index } of places(holdings)) index.close();
    await this.#graphs.close();
  }

  async #save(holdings: Holdings, model: VectorModel): Promise<void> {
    if (this.#snapshots === undefined) return;
    for (const { namespace, key, index } of places(holdings)) {
      // What waits for the graph will wait for it again after the next start.
      const worth = index.graphSize > 0 && index.changes > index.size * changesMin;
      if (worth) await this.#snapshots.save(index, { namespace: namespace.name, key }, model);
    }
  }
}

function places(holdings: Holdings): Place[] {
  return [...holdings.namespaces].flatMap((namespace) => (
    namespace.indexes.map(([key, index]) => ({ namespace, key, index }))));
}

function partitionOf({ namespace, key }: Place): Partition {
  return { namespace: namespace.name, key };
}
