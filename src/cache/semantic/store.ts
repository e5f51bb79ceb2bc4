// Where the entries of the semantic cache are kept: the one interface of the file, of Redis and of plain memory.
// Invariant: the view holds nothing that the store has not acknowledged, and hears of every change in the store's order.
import type { Entry } from './types.ts';

/** What changes of an entry when it is used; the rest never changes. */
export type Use = {
  readonly id: string;
  /** How often since the last time this was told. */
  readonly uses: number;
  readonly lastUsedMs: number;
  readonly expiresMs: number | undefined;
};

/** A vector is at unit length, and read only. */
export type Change =
  | { readonly kind: 'put'; readonly entry: Entry; readonly vector: Float32Array }
  /** With `endedMs`: only if it has ended by then, for another server may have used it since. */
  | { readonly kind: 'delete'; readonly id: string; readonly endedMs?: number }
  | { readonly kind: 'use'; readonly use: Use }
  | { readonly kind: 'lesson'; readonly lesson: Lesson };

/** What was learned about one question; `id` names it. An undefined state is forgotten. */
export type Lesson = { readonly id: string; readonly namespace: string; readonly state: unknown };

/** Who keeps the entries in memory. A change that was told before changes nothing. */
export interface StoreView {
  apply(change: Change): void;
  /** Whether it has that entry: a store need not read it again. */
  has(id: string): boolean;
  /** Everything else is gone from the store. */
  retain(ids: ReadonlySet<string>): void;
}

export interface SemanticStore {
  /** Tells the view everything, and from then on each change, whoever makes it. */
  open(view: StoreView): Promise<void>;
  /** All or nothing. Uses apart, which the view knows of already, resolves when they are durable as the store promises, and the view has heard of them. */
  write(changes: readonly Change[]): Promise<void>;
  /** Tells the view everything anew. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** Keeps nothing beyond the process. */
export class MemoryStore implements SemanticStore {
  #view: StoreView | undefined;

  async open(view: StoreView): Promise<void> {
    this.#view = view;
    view.retain(new Set());
  }

  async write(changes: readonly Change[]): Promise<void> {
    for (const change of changes) if (change.kind !== 'use') this.#view?.apply(change);
  }

  async reload(): Promise<void> {
    this.#view?.retain(new Set());
  }

  async close(): Promise<void> {
    this.#view = undefined;
  }
}
