// What one tenant has in memory: entries by id, by age, by last use, and by partition.
// Invariant: an entry stands in all of these or in none; a partition without entries does not exist.
import { semanticEntryOverheadBytes } from '../../limits.ts';
import type { Entry, Selection } from './types.ts';
import { exactText } from './text.ts';
import type { Found } from './vector-rows.ts';
import { VectorIndex } from './vector-index.ts';

/** An entry in memory. `entry` is replaced when it is used, never changed. */
export type Held = {
  entry: Entry;
  readonly exact: string;
  readonly bytes: number;
  /** Unset when another embedding model made its vector: it is found by its text only. */
  slot: number | undefined;
};

type PartitionView = { readonly exact: Map<string, Held>; readonly index: VectorIndex<Held>; entries: number };

export class Namespace {
  readonly name: string;
  readonly #makeIndex: () => VectorIndex<Held>;
  /** Least recently used first. */
  readonly #byUse = new Map<string, Held>();
  /** Oldest first. */
  readonly #byAge = new Map<string, Held>();
  readonly #partitions = new Map<string, PartitionView>();
  #bytes = 0;

  constructor(name: string, makeIndex: () => VectorIndex<Held>) {
    this.name = name;
    this.#makeIndex = makeIndex;
  }

  get entries(): number {
    return this.#byAge.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get partitions(): number {
    return this.#partitions.size;
  }

  /**
   * `unit` undefined: no vector that could be compared. Of two entries with one text the later stays, and on every
   * replica the same: the id of the other one is returned.
   */
  add(entry: Entry, unit: Float32Array | undefined): string | undefined {
    const exact = exactText(entry.question);
    const before = this.exact(entry.partition.key, exact)?.entry;
    if (before !== undefined && isLater(before, entry)) return entry.id;
    if (before !== undefined) this.remove(before.id);
    this.#insert({ entry, exact, bytes: entryBytes(entry, unit), slot: undefined }, unit);
    return before?.id;
  }

  get(id: string): Held | undefined {
    return this.#byAge.get(id);
  }

  remove(id: string): Held | undefined {
    const held = this.#byAge.get(id);
    if (held === undefined) return undefined;
    const { key } = held.entry.partition;
    const partition = this.#partitions.get(key)!;
    this.#byAge.delete(id);
    this.#byUse.delete(id);
    this.#bytes -= held.bytes;
    partition.entries -= 1;
    if (partition.exact.get(held.exact) === held) partition.exact.delete(held.exact);
    if (held.slot !== undefined) partition.index.remove(held.slot);
    if (partition.entries === 0) {
      partition.index.close();
      this.#partitions.delete(key);
    }
    return held;
  }

  /** Makes it the last to be evicted. */
  used(held: Held, entry: Entry): void {
    held.entry = entry;
    this.#byUse.delete(entry.id);
    this.#byUse.set(entry.id, held);
  }

  /** After a store told its entries in another order. */
  sortByUse(): void {
    const sorted = [...this.#byUse.values()].sort((left, right) => left.entry.lastUsedMs - right.entry.lastUsedMs);
    this.#byUse.clear();
    for (const held of sorted) this.#byUse.set(held.entry.id, held);
  }

  leastRecentlyUsed(): Held | undefined {
    for (const held of this.#byUse.values()) return held;
    return undefined;
  }

  /** The entry with that text. */
  exact(key: string, text: string): Held | undefined {
    return this.#partitions.get(key)?.exact.get(text);
  }

  /** A copy of its vector; undefined when it has none that could be compared, or is not here any more. */
  vector(held: Held): Float32Array | undefined {
    const { entry, slot } = held;
    // Read anew it is another one, and its slot another's.
    if (slot === undefined || this.#byAge.get(entry.id) !== held) return undefined;
    return this.#partitions.get(entry.partition.key)?.index.vector(slot);
  }

  /** Whether there is anything to compare a vector with. */
  comparable(key: string): boolean {
    return (this.#partitions.get(key)?.index.size ?? 0) > 0;
  }

  async nearest(key: string, unit: Float32Array, countMax: number): Promise<readonly Found<Held>[]> {
    return await this.#partitions.get(key)?.index.nearest(unit, countMax) ?? [];
  }

  /** Oldest first. */
  * select({ id, tag, olderThanMs }: Selection, nowMs: number): Iterable<Held> {
    const pool = id === undefined ? this.#byAge.values() : [this.#byAge.get(id)];
    for (const held of pool) {
      if (held === undefined) continue;
      if (olderThanMs !== undefined && nowMs - held.entry.createdMs <= olderThanMs) continue;
      if (tag === undefined || held.entry.tags.includes(tag)) yield held;
    }
  }

  /** By partition key. */
  get indexes(): readonly (readonly [string, VectorIndex<Held>])[] {
    return [...this.#partitions].map(([key, { index }]) => [key, index]);
  }

  #insert(held: Held, unit: Float32Array | undefined): void {
    const { entry } = held;
    const partition = this.#partition(entry.partition.key);
    if (unit !== undefined) held.slot = partition.index.add(held, unit);
    partition.exact.set(held.exact, held);
    partition.entries += 1;
    this.#byAge.set(entry.id, held);
    this.#byUse.set(entry.id, held);
    this.#bytes += held.bytes;
  }

  #partition(key: string): PartitionView {
    const known = this.#partitions.get(key);
    if (known !== undefined) return known;
    const made: PartitionView = { exact: new Map(), index: this.#makeIndex(), entries: 0 };
    this.#partitions.set(key, made);
    return made;
  }
}

function isLater(left: Entry, right: Entry): boolean {
  return left.createdMs === right.createdMs ? left.id > right.id : left.createdMs > right.createdMs;
}

/** What an entry counts for in memory. */
export function entryBytes({ question, answer, tags }: Entry, unit: Float32Array | undefined): number {
  const chars = tags.reduce((sum, tag) => sum + tag.length, question.length * 2);
  return chars * 2 + answer.byteLength + (unit?.byteLength ?? 0) + semanticEntryOverheadBytes;
}
