// Answers by meaning: looks a question up among those answered before, in its own partition only.
// Invariant: an entry is in memory only when the store has it, and a hit is an entry that was in memory at that moment.
import { ServerError } from '../../errors.ts';
import { semanticCandidatesMax, semanticLessonsMax, semanticSweepMs, semanticUseFlushMs } from '../../limits.ts';
import { Counts, type Outcome, type SemanticMetrics } from './counts.ts';
import { decide, thresholdOf, type Policy } from './decision.ts';
import { hasEnded, makeEntry, useOf, type Lifetime } from './entry.ts';
import { GraphKeeper, type GraphOptions } from './graph-keeper.ts';
import { Holdings, type Limits, type VectorModel } from './holdings.ts';
import { lessonId } from './ids.ts';
import type { Held } from './namespace.ts';
import type { Change, SemanticStore } from './store.ts';
import { exactText } from './text.ts';
import type { CacheStats, Entry, EntryPage, ListOptions, Lookup, LookupOptions, Nearest, NewEntry, Partition, Selection } from './types.ts';
import { RecentHits, Uses } from './uses.ts';
import { unitVector } from './vector-rows.ts';

export type SemanticCacheOptions = Lifetime & {
  readonly model: VectorModel;
  readonly store: SemanticStore;
  readonly policy: Policy;
  readonly limits: Limits;
  readonly graphs?: GraphOptions;
  readonly metrics: SemanticMetrics;
  readonly log: { warn(fields: Record<string, unknown>, message: string): void; info(fields: Record<string, unknown>, message: string): void };
  readonly now?: () => number;
};

/** A neighbour that is short of the threshold by no more than this is worth counting. */
const nearMiss = 0.05;
const listLimit = 100;

export class SemanticCache {
  readonly #options: SemanticCacheOptions;
  readonly #now: () => number;
  readonly #holdings: Holdings;
  readonly #graphs: GraphKeeper;
  #model: VectorModel;
  readonly #uses = new Uses();
  readonly #recentHits = new RecentHits();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #counts: Counts;
  /** What follows on a store that told everything: one after the other. */
  #settled: Promise<void> = Promise.resolve();

  /** Reads the store; what is beyond the limits or has ended leaves it. Rejects when the store cannot be opened. */
  static async open(options: SemanticCacheOptions): Promise<SemanticCache> {
    const cache = new SemanticCache(options);
    await options.store.open(cache.#holdings);
    await cache.#settled;
    cache.#timers.push(setInterval(() => void cache.#flushUses(), semanticUseFlushMs).unref());
    cache.#timers.push(setInterval(() => cache.#sweep(), semanticSweepMs).unref());
    return cache;
  }

  private constructor(options: SemanticCacheOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#model = options.model;
    this.#counts = new Counts(options.metrics);
    this.#graphs = new GraphKeeper(options.graphs ?? {}, options.log);
    this.#holdings = new Holdings({
      model: () => this.#model,
      limits: options.limits,
      lessonsMax: semanticLessonsMax,
      onReplaced: (id) => this.#forget([{ kind: 'delete', id }]),
      onForgotten: (lesson) => this.#forget([{ kind: 'lesson', lesson }]),
      onRetained: () => (this.#settled = this.#settled.then(() => this.#settle())),
      makeIndex: () => this.#graphs.makeIndex(this.#model.dimension),
    });
  }

  /** Vectors of which model are compared. */
  get model(): VectorModel {
    return this.#model;
  }

  /** Compares the vectors of another model from now on; entries of the one before are found by their text only. */
  async useModel(model: VectorModel): Promise<void> {
    if (model.identity === this.#model.identity && model.dimension === this.#model.dimension) return;
    this.#model = model;
    this.#graphs.loading();
    this.#holdings.clear();
    await this.#options.store.reload();
    await this.#settled;
  }

  /** Calls `embed` only when the same text is not there and others are. Rejects with what `embed` rejects with. */
  async lookup(
    partition: Partition, question: string, embed: () => Promise<Float32Array>, { thresholdMin }: LookupOptions = {},
  ): Promise<Lookup> {
    const threshold = thresholdOf(this.#options.policy, thresholdMin);
    const same = this.#alive(this.#holdings.namespace(partition.namespace)?.exact(partition.key, exactText(question)));
    if (same !== undefined) return this.#hit('exact', same, 1, 'the same text');
    const comparable = this.#holdings.namespace(partition.namespace)?.comparable(partition.key) ?? false;
    if (!comparable) return this.#missed('miss');
    const unit = unitVector(await embed(), this.#model.dimension);
    const startMs = performance.now();
    const found = await this.#holdings.namespace(partition.namespace)?.nearest(partition.key, unit, semanticCandidatesMax) ?? [];
    this.#options.metrics.searched(performance.now() - startMs);
    return this.#choose(partition, question, found.map(({ owner, similarity }) => ({ held: owner, similarity })), threshold);
  }

  /** Resolves once the entry is as durable as the store makes it and can be hit. An entry with the same text leaves. */
  async put(partition: Partition, entry: NewEntry): Promise<Entry> {
    const vector = unitVector(entry.vector, this.#model.dimension);
    const before = this.#holdings.namespace(partition.namespace)?.exact(partition.key, exactText(entry.question));
    // Later than the one it replaces, on whatever clock.
    const nowMs = Math.max(this.#now(), (before?.entry.createdMs ?? 0) + 1);
    const made = makeEntry(partition, entry, this.#model.identity, nowMs, this.#options);
    const changes: Change[] = [{ kind: 'put', entry: made, vector }];
    if (before !== undefined) changes.push({ kind: 'delete', id: before.entry.id });
    await this.#write(changes);
    this.#trim([partition.namespace]);
    return this.#holdings.namespace(partition.namespace)?.get(made.id)?.entry ?? made;
  }

  get(namespace: string, id: string): Entry | undefined {
    return this.#alive(this.#holdings.namespace(namespace)?.get(id))?.entry;
  }

  list(namespace: string, { tag, offset = 0, limit = listLimit, olderThanMs }: ListOptions = {}): EntryPage {
    const entries: Entry[] = [];
    let total = 0;
    const nowMs = this.#now();
    for (const { entry } of this.#holdings.namespace(namespace)?.select({ tag, olderThanMs }, nowMs) ?? []) {
      if (hasEnded(entry, nowMs)) continue;
      if (total >= offset && entries.length < limit) entries.push(entry);
      total += 1;
    }
    return { entries, total };
  }

  /** How many entries left memory and store. */
  async delete(namespace: string, selection: Selection): Promise<number> {
    const { id, tag, olderThanMs, all } = selection;
    if (id === undefined && tag === undefined && olderThanMs === undefined && all !== true) {
      throw new ServerError('REQUEST_INVALID', 'Say what to delete: an id, a tag, an age, or all.');
    }
    const held = [...this.#holdings.namespace(namespace)?.select(selection, this.#now()) ?? []];
    await this.#write(held.map(({ entry }) => ({ kind: 'delete', id: entry.id })));
    this.#options.metrics.left('deleted', held.length);
    await this.#graphs.forget(partitionsOf(held), this.#model);
    return held.length;
  }

  /**
   * Somebody says whether an answer was right. `question` is the one that was asked; what its hit teaches is kept
   * with the cached question and outlives the entry. A wrong one leaves. False when there is no such entry.
   */
  async feedback(namespace: string, id: string, { question, wrong }: { question?: string | undefined; wrong: boolean }): Promise<boolean> {
    const held = this.#holdings.namespace(namespace)?.get(id);
    if (held === undefined) return false;
    const changes: Change[] = this.#lesson(held, question, !wrong);
    if (wrong) changes.push({ kind: 'delete', id });
    await this.#write(changes);
    if (!wrong) return true;
    this.#counts.falseHit();
    this.#options.metrics.left('deleted', 1);
    return true;
  }

  /** Of one tenant, or of all; counters are the server's. */
  stats(namespace?: string): CacheStats {
    const namespaces = [...this.#holdings.namespaces]
      .filter(({ name }) => namespace === undefined || name === namespace)
      .map(({ name, entries, bytes, partitions }) => ({ namespace: name, entries, bytes, partitions }));
    return {
      namespaces,
      entries: namespaces.reduce((sum, { entries }) => sum + entries, 0),
      bytes: namespaces.reduce((sum, { bytes }) => sum + bytes, 0),
      entriesInGraphs: this.#holdings.inGraphs,
      entriesOfOtherModels: this.#holdings.incomparable,
      ...this.#counts.shown,
      threshold: this.#options.policy.threshold,
      mode: this.#options.policy.mode,
      entriesMaxPerNamespace: this.#options.limits.entriesMaxPerNamespace,
    };
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#flushUses();
    await this.#graphs.close(this.#holdings, this.#model);
    await this.#options.store.close();
  }

  #choose(
    partition: Partition, question: string, found: readonly { held: Held; similarity: number }[], threshold: number,
  ): Lookup {
    let nearest: (Nearest & { by: string | undefined }) | undefined;
    for (const { held, similarity } of found) {
      if (this.#alive(held) === undefined) continue;
      const state = this.#holdings.lesson(partition.namespace, lessonId(partition, held.exact));
      const rounded = Math.min(1, similarity);
      const { hit, by, reason } = decide(this.#options.policy, { question, cached: held.entry.question, similarity: rounded }, threshold, state);
      if (hit) {
        this.#recentHits.remember(held.entry.id, question, rounded);
        return this.#hit('semantic', held, rounded, reason);
      }
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
    this.#use(held);
    return { hit: true, tier, entry: held.entry, similarity, reason };
  }

  #missed(outcome: Outcome, nearest?: Nearest): Lookup {
    this.#counts.looked(outcome);
    return { hit: false, ...(nearest && { nearest }) };
  }

  #use({ entry }: Held): void {
    const use = useOf(entry, this.#now());
    this.#holdings.apply({ kind: 'use', use });
    this.#uses.add(use);
  }

  #lesson(held: Held, question: string | undefined, correct: boolean): Change[] {
    const { learning } = this.#options.policy;
    const similarity = question === undefined ? undefined : this.#recentHits.similarity(held.entry.id, question);
    if (learning === undefined || similarity === undefined) return [];
    const { partition } = held.entry;
    const id = lessonId(partition, held.exact);
    const before = this.#holdings.lesson(partition.namespace, id) ?? learning.start();
    return [{ kind: 'lesson', lesson: { id, namespace: partition.namespace, state: learning.observe(before, similarity, correct) } }];
  }

  #alive(held: Held | undefined): Held | undefined {
    if (held === undefined || !hasEnded(held.entry, this.#now())) return held;
    this.#drop([held], 'expired');
    return undefined;
  }

  async #write(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    try {
      await this.#options.store.write(changes);
    } catch (error) {
      this.#options.metrics.storeFailed();
      throw new ServerError('BACKEND_FAILED', 'The store of the semantic cache is not available.', { cause: error });
    }
  }

  /** Uses are no reason to fail anything: they wait for the next time. */
  async #flushUses(): Promise<void> {
    const uses = this.#uses.take().filter(({ id }) => this.#holdings.has(id));
    await this.#write(uses.map((use) => ({ kind: 'use', use }))).catch(() => this.#uses.putBack(uses));
  }

  async #settle(): Promise<void> {
    this.#sweep();
    this.#trim();
    await this.#graphs.loaded(this.#holdings, this.#model);
  }

  #sweep(): void {
    const nowMs = this.#now();
    const ended: Held[] = [];
    for (const namespace of this.#holdings.namespaces) {
      for (const held of namespace.select({}, nowMs)) if (hasEnded(held.entry, nowMs)) ended.push(held);
    }
    if (ended.length > 0) this.#drop(ended, 'expired');
  }

  #trim(namespaces?: readonly string[]): void {
    const left = this.#holdings.trim(namespaces);
    if (left.length > 0) this.#drop(left, 'evicted');
  }

  #drop(held: readonly Held[], reason: 'evicted' | 'expired'): void {
    const endedMs = this.#now();
    for (const { entry } of held) this.#holdings.remove(entry.id);
    this.#options.metrics.left(reason, held.length);
    this.#forget(held.map(({ entry: { id } }) => ({ kind: 'delete', id, ...(reason === 'expired' && { endedMs }) })));
  }

  /** Memory is ahead of the store here: if it fails, the entries come back at the next start and leave again. */
  #forget(changes: readonly Change[]): void {
    this.#write(changes).catch((error: unknown) => {
      this.#options.log.warn({ err: error, entries: changes.length }, 'entries that left the semantic cache are still in its store');
    });
  }
}

function partitionsOf(held: readonly Held[]): Partition[] {
  return [...new Map(held.map(({ entry: { partition } }) => [partition.key, partition])).values()];
}
