// Answers by meaning: looks a question up among those answered before, in its own partition only.
// Invariant: an entry is in memory only when the store has it, and a hit is an entry that was in memory at that moment.
import { ServerError } from '../../errors.ts';
import { semanticCandidatesMax, semanticLoadEntries } from '../../limits.ts';
import { Counts, type Outcome } from './counts.ts';
import { decide, thresholdOf, type Policy } from './decision.ts';
import { hasEnded, makeEntry, type Lifetime } from './entry.ts';
import { lessonId } from './ids.ts';
import { DumpLines, type LoadOptions, type LoadReport } from './json-lines.ts';
import type { Held } from './namespace.ts';
import type { Change } from './store.ts';
import { exactText } from './text.ts';
import type { CacheStats, Entry, EntryPage, ListOptions, Lookup, LookupOptions, Nearest, NewEntry, Partition, Selection } from './types.ts';
import { Upkeep, type UpkeepOptions } from './upkeep.ts';
import { RecentHits } from './uses.ts';
import type { VectorModel } from './vector-model.ts';
import { unitVector } from './vector-rows.ts';

export type SemanticCacheOptions = Lifetime & UpkeepOptions & {
  /** Vectors of which model are compared at first. */
  readonly model: VectorModel;
  readonly policy: Policy;
};

/** A neighbour that is short of the threshold by no more than this is worth counting. */
const nearMiss = 0.05;
const listLimit = 100;

export class SemanticCache {
  readonly #options: SemanticCacheOptions;
  readonly #upkeep: Upkeep;
  readonly #recentHits = new RecentHits();
  readonly #counts: Counts;

  /** Reads the store; what is beyond the limits or has ended leaves it. Rejects when the store cannot be opened. */
  static async open(options: SemanticCacheOptions): Promise<SemanticCache> {
    const cache = new SemanticCache(options);
    try {
      await cache.#upkeep.open();
    } catch (error) {
      await options.store.close();
      throw error;
    }
    return cache;
  }

  private constructor(options: SemanticCacheOptions) {
    this.#options = options;
    this.#upkeep = new Upkeep(options, options.model);
    this.#counts = new Counts(options.metrics);
  }

  get policy(): Policy {
    return this.#options.policy;
  }

  /** Vectors of which model are compared. */
  get model(): VectorModel {
    return this.#upkeep.model;
  }

  /** Compares the vectors of another model from now on; entries of the one before are found by their text only. */
  async useModel(model: VectorModel): Promise<void> {
    await this.#upkeep.useModel(model);
  }

  /**
   * Calls `embed` only when the same text is not there and others are; undefined from it means that there is nothing to
   * compare. Rejects with what `embed` rejects with.
   */
  async lookup(
    partition: Partition, question: string, embed: () => Promise<Float32Array | undefined>, { thresholdMin }: LookupOptions = {},
  ): Promise<Lookup> {
    const { holdings } = this.#upkeep;
    const threshold = thresholdOf(this.#options.policy, thresholdMin);
    const same = this.#upkeep.alive(holdings.namespace(partition.namespace)?.exact(partition.key, exactText(question)));
    if (same !== undefined) return this.#hit('exact', same, 1, 'the same text');
    if (holdings.namespace(partition.namespace)?.comparable(partition.key) !== true) return this.#missed('miss');
    const { model } = this;
    const vector = await embed();
    if (vector === undefined) return this.#missed('miss');
    const unit = unitVector(vector, model.dimension);
    // Another model took its place meanwhile: this vector means nothing to it.
    if (model !== this.model) return this.#missed('miss');
    const startMs = performance.now();
    const found = await holdings.namespace(partition.namespace)?.nearest(partition.key, unit, semanticCandidatesMax) ?? [];
    this.#options.metrics.searched(performance.now() - startMs);
    return this.#choose(partition, question, found.map(({ owner, similarity }) => ({ held: owner, similarity })), threshold);
  }

  /**
   * Resolves once the entry is as durable as the store makes it and can be hit. An entry with the same text leaves.
   * Throws REQUEST_TOO_LARGE for one that would drive out all others, and BACKEND_FAILED when the store does not take it.
   */
  async put(partition: Partition, entry: NewEntry): Promise<Entry> {
    // No model has the empty name, so what has no vector is compared with nothing.
    const identity = entry.vector === undefined ? '' : entry.model ?? this.model.identity;
    const dimension = identity === this.model.identity ? this.model.dimension : entry.vector?.length ?? 0;
    const vector = entry.vector === undefined ? new Float32Array(0) : unitVector(entry.vector, dimension);
    const { holdings } = this.#upkeep;
    const before = holdings.namespace(partition.namespace)?.exact(partition.key, exactText(entry.question));
    // Later than the one it replaces, on whatever clock.
    const nowMs = Math.max(this.#upkeep.now(), (before?.entry.createdMs ?? 0) + 1);
    const made = makeEntry(partition, entry, identity, nowMs, this.#options);
    if (!this.#upkeep.fits(made, vector)) throw new ServerError('REQUEST_TOO_LARGE', 'The entry is larger than the memory of its namespace.');
    const changes: Change[] = before === undefined ? [] : [{ kind: 'delete', id: before.entry.id }];
    await this.#upkeep.write([...changes, { kind: 'put', entry: made, vector }]);
    this.#upkeep.trim([partition.namespace]);
    return holdings.namespace(partition.namespace)?.get(made.id)?.entry ?? made;
  }

  get(namespace: string, id: string): Entry | undefined {
    return this.#upkeep.alive(this.#upkeep.holdings.namespace(namespace)?.get(id))?.entry;
  }

  list(namespace: string, { tag, offset = 0, limit = listLimit, olderThanMs }: ListOptions = {}): EntryPage {
    const entries: Entry[] = [];
    let total = 0;
    const nowMs = this.#upkeep.now();
    for (const { entry } of this.#upkeep.holdings.namespace(namespace)?.select({ tag, olderThanMs }, nowMs) ?? []) {
      if (hasEnded(entry, nowMs)) continue;
      if (total >= offset && entries.length < limit) entries.push(entry);
      total += 1;
    }
    return { entries, total };
  }

  /** How many entries left memory and store. Throws BACKEND_FAILED when the store could not be read or changed. */
  async delete(namespace: string, selection: Selection): Promise<number> {
    const { id, tag, olderThanMs, all } = selection;
    if (id === undefined && tag === undefined && olderThanMs === undefined && all !== true) {
      throw new ServerError('REQUEST_INVALID', 'Say what to delete: an id, a tag, an age, or all.');
    }
    await this.#upkeep.complete();
    const held = [...this.#upkeep.holdings.namespace(namespace)?.select(selection, this.#upkeep.now()) ?? []];
    await this.#leave(held, []);
    return held.length;
  }

  /**
   * Somebody says whether an answer was right. `question` is the one that was asked; what its hit teaches is kept
   * with the cached question and outlives the entry. A wrong one leaves. False when there is no such entry.
   */
  async feedback(namespace: string, id: string, { question, wrong }: { question?: string | undefined; wrong: boolean }): Promise<boolean> {
    await this.#upkeep.complete();
    const held = this.#upkeep.holdings.namespace(namespace)?.get(id);
    if (held === undefined) return false;
    const lessons = this.#lesson(held, question, !wrong);
    if (!wrong) {
      await this.#upkeep.write(lessons);
      return true;
    }
    await this.#leave([held], lessons);
    this.#counts.falseHit();
    return true;
  }

  /** Of one tenant, or of all; counters are the server's. */
  stats(namespace?: string): CacheStats {
    const { holdings } = this.#upkeep;
    const namespaces = [...holdings.namespaces]
      .filter(({ name }) => namespace === undefined || name === namespace)
      .map(({ name, entries, bytes, partitions }) => ({ namespace: name, entries, bytes, partitions }));
    return {
      namespaces,
      entries: namespaces.reduce((sum, { entries }) => sum + entries, 0),
      bytes: namespaces.reduce((sum, { bytes }) => sum + bytes, 0),
      entriesInGraphs: holdings.inGraphs,
      entriesOfOtherModels: holdings.incomparable,
      ...this.#counts.shown,
      threshold: this.#options.policy.threshold,
      mode: this.#options.policy.mode,
      entriesMaxPerNamespace: this.#options.limits.entriesMaxPerNamespace,
    };
  }

  /** Resolves when memory has all that the store has. Throws BACKEND_FAILED where it could not be read. */
  async complete(): Promise<void> {
    await this.#upkeep.complete();
  }

  /** JSON Lines, one entry each, of one tenant or of all. Entries that come or go meanwhile may be in it or not. */
  async * dump(namespace?: string): AsyncIterable<string> {
    await this.#upkeep.complete();
    const lines = new DumpLines(this.model);
    for (const { name } of [...this.#upkeep.holdings.namespaces]) {
      if (namespace !== undefined && name !== namespace) continue;
      for (const held of [...this.#upkeep.holdings.namespace(name)?.select({}, this.#upkeep.now()) ?? []]) {
        const vector = this.#upkeep.holdings.namespace(name)?.vector(held);
        if (!hasEnded(held.entry, this.#upkeep.now())) yield lines.line(held.entry, vector);
      }
    }
  }

  /** Takes what dump() gave, or a file to warm up from; what is there already or has ended is passed over. */
  async load(chunks: AsyncIterable<string | Uint8Array>, options: LoadOptions = {}): Promise<LoadReport> {
    await this.#upkeep.complete();
    const lines = new DumpLines(this.model, options);
    let batch: Extract<Change, { kind: 'put' }>[] = [];
    let loaded = 0;
    const flush = async () => {
      await this.#upkeep.write(batch);
      this.#upkeep.trim([...new Set(batch.map(({ entry }) => entry.partition.namespace))]);
      loaded += batch.length;
      batch = [];
    };
    for await (const read of lines.read(chunks, this.#upkeep.now)) {
      const { id } = read.entry;
      const isThere = this.#upkeep.holdings.has(id) || batch.some(({ entry }) => entry.id === id);
      if (isThere || !this.#upkeep.fits(read.entry, read.vector)) lines.passedOver();
      else batch.push({ kind: 'put', ...read });
      if (batch.length >= semanticLoadEntries) await flush();
    }
    await flush();
    return { ...lines.report, loaded };
  }

  async close(): Promise<void> {
    await this.#upkeep.close();
  }

  #choose(
    partition: Partition, question: string, found: readonly { held: Held; similarity: number }[], threshold: number,
  ): Lookup {
    let nearest: (Nearest & { by: string | undefined }) | undefined;
    for (const { held, similarity } of found) {
      if (this.#upkeep.alive(held) === undefined) continue;
      const state = this.#upkeep.holdings.lesson(partition.namespace, lessonId(partition, held.exact));
      const rounded = Math.min(1, similarity);
      const { hit, by, reason } = decide(this.#options.policy, { question, cached: held.entry.question, similarity: rounded }, threshold, state);
      if (hit) {
        this.#recentHits.remember(held.entry.id, question, rounded);
        return this.#hit('semantic', held, rounded, reason);
      }
      // Whoever asks upstream instead may say what came of it.
      if (by === 'feedback') this.#recentHits.remember(held.entry.id, question, rounded);
      nearest ??= { id: held.entry.id, similarity: rounded, reason, by };
      if (by === 'threshold') break;
    }
    if (nearest === undefined) return this.#missed('miss');
    const { by, ...shown } = nearest;
    const close = shown.similarity >= threshold - nearMiss ? 'near' : 'miss';
    return this.#missed(by === 'threshold' ? close : 'refused', shown);
  }

  #hit(tier: 'exact' | 'semantic', held: Held, similarity: number, reason: string): Lookup {
    this.#counts.looked(tier);
    this.#upkeep.use(held);
    return { hit: true, tier, entry: held.entry, similarity, reason };
  }

  #missed(outcome: Outcome, nearest?: Nearest): Lookup {
    this.#counts.looked(outcome);
    return { hit: false, ...(nearest && { nearest }) };
  }

  #lesson(held: Held, question: string | undefined, correct: boolean): Change[] {
    const { learning } = this.#options.policy;
    const similarity = question === undefined ? undefined : this.#recentHits.similarity(held.entry.id, question);
    if (learning === undefined || similarity === undefined) return [];
    const { partition } = held.entry;
    const id = lessonId(partition, held.exact);
    const before = this.#upkeep.holdings.lesson(partition.namespace, id) ?? learning.start();
    return [{ kind: 'lesson', lesson: { id, namespace: partition.namespace, state: learning.observe(before, similarity, correct) } }];
  }

  async #leave(held: readonly Held[], others: readonly Change[]): Promise<void> {
    await this.#upkeep.write([...others, ...held.map(({ entry }): Change => ({ kind: 'delete', id: entry.id }))]);
    this.#options.metrics.left('deleted', held.length);
    const partitions = new Map(held.map(({ entry: { partition } }) => [partition.key, partition]));
    await this.#upkeep.graphs.forget([...partitions.values()], this.model);
  }
}
