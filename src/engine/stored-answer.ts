// What the semantic cache keeps of an answer.
import type { Entry, Selection } from '../cache/semantic/types.ts';
import { keepable, type Completion } from '../upstream/completion.ts';

export type StoredAnswer = { readonly completion: Completion; readonly upstreamMs: number };

/** Undefined for an answer that another program put there. */
export function storedAnswer({ answer }: Entry): StoredAnswer | undefined {
  try {
    const stored = JSON.parse(Buffer.from(answer).toString()) as StoredAnswer;
    const completion = keepable(stored.completion);
    return completion && { completion, upstreamMs: amount(stored.upstreamMs) };
  } catch {
    return undefined;
  }
}

/** A number of a foreign answer that can be added up; 0 for anything else. */
export function amount(value: unknown): number {
  return typeof value === 'number' && value >= 0 && Number.isFinite(value) ? value : 0;
}

/** Whether an entry that is made now would be among those. */
export function selectsNew({ id, tag, olderThanMs }: Selection, tags: readonly string[] = []): boolean {
  return id === undefined && olderThanMs === undefined && (tag === undefined || tags.includes(tag));
}
