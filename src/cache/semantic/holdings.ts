// Everything the semantic cache has in memory: the tenants, who pays when there is too much, and what was learned.
// Invariant: a tenant within its fair share of the memory never loses an entry to another tenant.
import type { Amount, Entry } from './types.ts';
import { Namespace, type Held } from './namespace.ts';
import type { Change, Lesson, StoreView, Use } from './store.ts';
import { unitVector } from './vector-rows.ts';
import type { VectorIndex } from './vector-index.ts';
import type { VectorModel } from './vector-model.ts';

export type Limits = {
  readonly entriesMaxPerNamespace: number;
  readonly bytesMaxPerNamespace: number;
  /** Of all namespaces. */
  readonly bytesMax: number;
};

export type HoldingsOptions = {
  readonly model: () => VectorModel;
  readonly limits: Limits;
  readonly lessonsMax: number;
  /** Of two entries with one text this one left: the store need not keep it. */
  readonly onReplaced: (id: string) => void;
  /** This was learned too long ago. */
  readonly onForgotten: (lesson: Lesson) => void;
  /** A store has told everything. */
  readonly onRetained: () => void;
  readonly makeIndex: () => VectorIndex<Held>;
};

export class Holdings implements StoreView {
  readonly #options: HoldingsOptions;
  readonly #namespaces = new Map<string, Namespace>();
  /** Which namespace has an entry: a store names it by its id only. */
  readonly #homes = new Map<string, Namespace>();
  /** By namespace, oldest first. */
  readonly #lessons = new Map<string, Map<string, unknown>>();
  #bytes = 0;

  constructor(options: HoldingsOptions) {
    this.#options = options;
  }

  get amount(): Amount {
    return { entries: this.#homes.size, bytes: this.#bytes };
  }

  /** Entries whose vector another model made. */
  get incomparable(): number {
    let comparable = 0;
    for (const { indexes } of this.#namespaces.values()) for (const [, index] of indexes) comparable += index.size;
    return this.#homes.size - comparable;
  }

  /** Entries that are found through a graph. */
  get inGraphs(): number {
    let inGraphs = 0;
    for (const { indexes } of this.#namespaces.values()) for (const [, index] of indexes) inGraphs += index.graphSize;
    return inGraphs;
  }

  get namespaces(): Iterable<Namespace> {
    return this.#namespaces.values();
  }

  namespace(name: string): Namespace | undefined {
    return this.#namespaces.get(name);
  }

  lesson(namespace: string, id: string): unknown {
    return this.#lessons.get(namespace)?.get(id);
  }

  has(id: string): boolean {
    return this.#homes.has(id);
  }

  apply(change: Change): void {
    if (change.kind === 'put') this.#put(change.entry, change.vector);
    else if (change.kind === 'delete') this.remove(change.id);
    else if (change.kind === 'use') this.#used(change.use);
    else this.#learn(change.lesson);
  }

  retain(ids: ReadonlySet<string>): void {
    for (const id of [...this.#homes.keys()]) if (!ids.has(id)) this.remove(id);
    for (const namespace of this.#namespaces.values()) namespace.sortByUse();
    this.#options.onRetained();
  }

  /** Forgets all entries; a store will tell them again. */
  clear(): void {
    for (const id of [...this.#homes.keys()]) this.remove(id);
  }

  /** Forgets the entry; the store may still have it. */
  remove(id: string): Held | undefined {
    const home = this.#homes.get(id);
    const held = home?.remove(id);
    if (home === undefined || held === undefined) return undefined;
    this.#homes.delete(id);
    this.#bytes -= held.bytes;
    if (home.entries === 0) this.#namespaces.delete(home.name);
    return held;
  }

  /** Entries of these tenants, or of all, that must go for the limits to hold; they have left when it returns. */
  trim(names: Iterable<string> = this.#namespaces.keys()): Held[] {
    const left: Held[] = [];
    const { entriesMaxPerNamespace, bytesMaxPerNamespace, bytesMax } = this.#options.limits;
    for (const name of [...names]) {
      const namespace = this.#namespaces.get(name);
      if (namespace === undefined) continue;
      while (namespace.entries > entriesMaxPerNamespace || namespace.bytes > bytesMaxPerNamespace) this.#evict(namespace, left);
    }
    // The largest pays: it has more than its share, or nobody would have too much.
    while (this.#bytes > bytesMax) this.#evict(this.#largest(), left);
    return left;
  }

  #evict(namespace: Namespace, left: Held[]): void {
    left.push(this.remove(namespace.leastRecentlyUsed()!.entry.id)!);
  }

  #largest(): Namespace {
    let largest: Namespace | undefined;
    for (const namespace of this.#namespaces.values()) {
      if (largest === undefined || namespace.bytes > largest.bytes) largest = namespace;
    }
    return largest!;
  }

  #put(entry: Entry, vector: Float32Array): void {
    if (this.#homes.has(entry.id)) return;
    const { identity, dimension } = this.#options.model();
    // What has no vector has the name that no model has.
    const isComparable = dimension > 0 && entry.model === identity && vector.length === dimension;
    const unit = isComparable ? unitVector(vector, dimension) : undefined;
    const namespace = this.#home(entry.partition.namespace);
    const before = namespace.bytes;
    const replaced = namespace.add(entry, unit);
    this.#bytes += namespace.bytes - before;
    this.#homes.set(entry.id, namespace);
    if (replaced === undefined) return;
    this.#homes.delete(replaced);
    this.#options.onReplaced(replaced);
  }

  #used({ id, uses, lastUsedMs, expiresMs }: Use): void {
    const home = this.#homes.get(id);
    const held = home?.get(id);
    if (home === undefined || held === undefined) return;
    const { entry } = held;
    if (lastUsedMs < entry.lastUsedMs) return;
    home.used(held, { ...entry, uses: entry.uses + uses, lastUsedMs, expiresMs });
  }

  #learn({ id, namespace, state }: Lesson): void {
    const lessons = this.#lessons.get(namespace) ?? new Map<string, unknown>();
    this.#lessons.set(namespace, lessons);
    lessons.delete(id);
    if (state !== undefined) lessons.set(id, state);
    if (lessons.size > this.#options.lessonsMax) {
      const oldest = lessons.keys().next().value!;
      lessons.delete(oldest);
      this.#options.onForgotten({ id: oldest, namespace, state: undefined });
    }
    if (lessons.size === 0) this.#lessons.delete(namespace);
  }

  #home(name: string): Namespace {
    const known = this.#namespaces.get(name);
    if (known !== undefined) return known;
    const made = new Namespace(name, this.#options.makeIndex);
    this.#namespaces.set(name, made);
    return made;
  }
}
