// What goes on behind lookups and puts: writing to the store, and leaving what has ended or is too much.
import { ServerError } from '../../errors.ts';
import { semanticLessonsMax, semanticSweepMs, semanticUseFlushMs, semanticWriteChanges } from '../../limits.ts';
import type { SemanticMetrics } from './counts.ts';
import { hasEnded, useOf } from './entry.ts';
import { GraphKeeper, type GraphOptions } from './graph-keeper.ts';
import { Holdings, type Limits } from './holdings.ts';
import { entryBytes, type Held } from './namespace.ts';
import type { Change, SemanticStore } from './store.ts';
import type { Entry } from './types.ts';
import { Uses } from './uses.ts';
import type { VectorModel } from './vector-model.ts';

export type UpkeepOptions = {
  readonly store: SemanticStore;
  readonly limits: Limits;
  readonly graphs?: GraphOptions;
  readonly metrics: SemanticMetrics;
  readonly log: { warn(fields: Record<string, unknown>, message: string): void; info(fields: Record<string, unknown>, message: string): void };
  /** Milliseconds since 1970. */
  readonly now?: () => number;
};

export class Upkeep {
  readonly holdings: Holdings;
  readonly graphs: GraphKeeper;
  readonly now: () => number;
  readonly #options: UpkeepOptions;
  readonly #uses = new Uses();
  readonly #timers: NodeJS.Timeout[] = [];
  #model: VectorModel;
  /** The store could not be read: memory lacks what it has. */
  #isUnread = false;
  /** Memory had everything of the store since the model last changed. */
  #isComplete = false;
  #reading: Promise<void> = Promise.resolve();
  /** What follows on a store that told everything: one after the other. */
  #settled: Promise<void> = Promise.resolve();

  constructor(options: UpkeepOptions, model: VectorModel) {
    this.#options = options;
    this.#model = model;
    this.now = options.now ?? Date.now;
    this.graphs = new GraphKeeper(options.graphs ?? {}, options.log);
    this.holdings = new Holdings({
      model: () => this.#model,
      limits: options.limits,
      lessonsMax: semanticLessonsMax,
      onReplaced: (id) => this.#forget([{ kind: 'delete', id }]),
      onForgotten: (lesson) => this.#forget([{ kind: 'lesson', lesson }]),
      onRetained: () => {
        this.#isComplete = true;
        this.#settled = this.#settled.then(() => this.#settle());
      },
      makeIndex: () => this.graphs.makeIndex(this.#model.dimension),
    });
  }

  get model(): VectorModel {
    return this.#model;
  }

  async open(): Promise<void> {
    await this.#options.store.open(this.holdings);
    await this.#settled;
    this.#timers.push(setInterval(() => void this.#flushUses(), semanticUseFlushMs).unref());
    this.#timers.push(setInterval(() => this.#sweep(), semanticSweepMs).unref());
  }

  /** Compares the vectors of that model, once everything is read. A call after one that failed to read the store reads it again. */
  async useModel(model: VectorModel): Promise<void> {
    const isUsed = model.identity === this.#model.identity && model.dimension === this.#model.dimension;
    if (isUsed && !this.#isUnread) return this.#reading;
    this.#isUnread = false;
    this.#isComplete = false;
    this.#model = model;
    this.graphs.loading();
    this.holdings.clear();
    try {
      await (this.#reading = this.#options.store.reload());
    } catch (error) {
      this.#isUnread = true;
      throw error;
    }
    await this.#settled;
  }

  /** Resolves when memory has all that the store has. Throws BACKEND_FAILED where it could not be read. */
  async complete(): Promise<void> {
    let cause: unknown;
    for (let reading: Promise<void> | undefined; reading !== this.#reading;) {
      reading = this.#reading;
      cause = await reading.catch((error: unknown) => error);
    }
    if (!this.#isComplete) throw storeFailure(cause);
  }

  /** Whether the entry alone is within the limits; one that is not would only drive out all others. */
  fits(entry: Entry, vector: Float32Array): boolean {
    const { bytesMaxPerNamespace, bytesMax } = this.#options.limits;
    return entryBytes(entry, vector) <= Math.min(bytesMaxPerNamespace, bytesMax);
  }

  /** Resolves when the store has it all and memory too. Throws BACKEND_FAILED. */
  async write(changes: readonly Change[]): Promise<void> {
    try {
      // In portions, so that nobody deletes a hundred thousand entries in one step that others wait for.
      for (let at = 0; at < changes.length; at += semanticWriteChanges) {
        await this.#options.store.write(changes.slice(at, at + semanticWriteChanges));
      }
    } catch (error) {
      this.#options.metrics.storeFailed();
      throw storeFailure(error);
    }
  }

  use({ entry }: Held): void {
    const use = useOf(entry, this.now());
    this.holdings.apply({ kind: 'use', use });
    this.#uses.add(use);
  }

  /** The entry unless it has ended: then it leaves. */
  alive(held: Held | undefined): Held | undefined {
    if (held === undefined || !hasEnded(held.entry, this.now())) return held;
    this.#drop([held], 'expired');
    return undefined;
  }

  /** Of these namespaces, or of all, what is beyond the limits leaves. */
  trim(namespaces?: readonly string[]): void {
    const left = this.holdings.trim(namespaces);
    if (left.length > 0) this.#drop(left, 'evicted');
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#flushUses();
    await this.#settled;
    await this.graphs.close(this.holdings, this.#model);
    await this.#options.store.close();
  }

  async #settle(): Promise<void> {
    this.#sweep();
    this.trim();
    await this.graphs.loaded(this.holdings, this.#model);
  }

  /** Uses are no reason to fail anything: they wait for the next time. */
  async #flushUses(): Promise<void> {
    const uses = this.#uses.take().filter(({ id }) => this.holdings.has(id));
    await this.write(uses.map((use) => ({ kind: 'use', use }))).catch(() => this.#uses.putBack(uses));
  }

  #sweep(): void {
    const nowMs = this.now();
    const ended: Held[] = [];
    for (const namespace of this.holdings.namespaces) {
      for (const held of namespace.select({}, nowMs)) if (hasEnded(held.entry, nowMs)) ended.push(held);
    }
    if (ended.length > 0) this.#drop(ended, 'expired');
  }

  #drop(held: readonly Held[], reason: 'evicted' | 'expired'): void {
    const endedMs = this.now();
    for (const { entry } of held) this.holdings.remove(entry.id);
    this.#options.metrics.left(reason, held.length);
    this.#forget(held.map(({ entry: { id } }) => ({ kind: 'delete', id, ...(reason === 'expired' && { endedMs }) })));
  }

  /** Memory is ahead of the store here: if it fails, the entries come back at the next start and leave again. */
  #forget(changes: readonly Change[]): void {
    this.write(changes).catch((error: unknown) => {
      this.#options.log.warn({ err: error, entries: changes.length }, 'what left the semantic cache is still in its store');
    });
  }
}

function storeFailure(cause: unknown): ServerError {
  return new ServerError('BACKEND_FAILED', 'The store of the semantic cache is not available.', { cause });
}
