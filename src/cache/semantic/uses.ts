// Uses of entries that the store has not heard of, and similarities that feedback can still ask for.
// Both are bounded, and neither is worth an error: what is lost here costs an entry some of its age or a lesson.
import { hash } from 'node:crypto';
import { semanticRecentHitsMax } from '../../limits.ts';
import type { Use } from './store.ts';
import { exactText } from './text.ts';

export class Uses {
  #waiting = new Map<string, Use>();

  add(use: Use): void {
    this.#waiting.set(use.id, { ...use, uses: use.uses + (this.#waiting.get(use.id)?.uses ?? 0) });
  }

  take(): Use[] {
    const taken = [...this.#waiting.values()];
    this.#waiting = new Map();
    return taken;
  }

  /** The store did not take them: they wait again, behind what came since. */
  putBack(uses: readonly Use[]): void {
    for (const use of uses) {
      const since = this.#waiting.get(use.id);
      this.#waiting.set(use.id, since === undefined ? use : { ...since, uses: since.uses + use.uses });
    }
  }
}

/** The last semantic hits, by entry and question. */
export class RecentHits {
  readonly #similarities = new Map<string, number>();

  remember(id: string, question: string, similarity: number): void {
    const key = keyOf(id, question);
    this.#similarities.delete(key);
    this.#similarities.set(key, similarity);
    if (this.#similarities.size > semanticRecentHitsMax) this.#similarities.delete(this.#similarities.keys().next().value!);
  }

  similarity(id: string, question: string): number | undefined {
    return this.#similarities.get(keyOf(id, question));
  }
}

/** As short as it can be: ten thousand long questions would be gigabytes. */
function keyOf(id: string, question: string): string {
  return hash('sha256', `${id} ${exactText(question)}`, 'base64url');
}
