// One thing asked of another: the same frame of words with something else in the same place.
import { isOpen } from './align.ts';
import type { Alignment, Side } from './align.ts';
import { wordTable } from './word-table.ts';
import type { Word } from './words.ts';

/** What stands in the place of what. */
export type Substitution = {
  readonly a: readonly Word[];
  readonly b: readonly Word[];
  /** The lesser of the two sides' weights. */
  readonly weight: number;
  /** Cosine of the nearest two words; 0 when the table knows none. */
  readonly nearness: number;
};

/** In the order of `a`. A place lies between the same matched words, or at the same end, of both questions. */
export function substitutions({ a, b }: Alignment): Substitution[] {
  const found: Substitution[] = [];
  let open: number[] = [];
  let left = -1;
  const total = a.question.words.length;
  for (let i = 0; i <= total; i++) {
    const partner = i < total ? a.partners[i]! : b.question.words.length;
    if (partner < 0) {
      if (isCoreOpen(a, i)) open.push(i);
      continue;
    }
    if (open.length > 0 && left < partner) add(a, open, b, openBetween(b, left, partner), found);
    [open, left] = [[], partner];
  }
  return found;
}

function openBetween(side: Side, left: number, right: number): number[] {
  const found: number[] = [];
  for (let j = left + 1; j < right; j++) {
    // A matched word in between belongs to another place.
    if (side.partners[j]! >= 0) return [];
    if (isCoreOpen(side, j)) found.push(j);
  }
  return found;
}

function isCoreOpen(side: Side, i: number): boolean {
  return isOpen(side, i) && !side.extraSentences.has(side.question.words[i]!.sentence);
}

function add(a: Side, ofA: readonly number[], b: Side, ofB: readonly number[], found: Substitution[]): void {
  if (ofB.length === 0) return;
  const [wordsA, wordsB] = [ofA.map((i) => a.question.words[i]!), ofB.map((j) => b.question.words[j]!)];
  const weight = Math.min(weightOf(wordsA), weightOf(wordsB));
  let nearness = 0;
  for (const x of wordsA) for (const y of wordsB) nearness = Math.max(nearness, wordTable().similarity(x.text, y.text));
  found.push({ a: wordsA, b: wordsB, weight, nearness });
}

export function weightOf(words: readonly Word[]): number {
  return words.reduce((sum, word) => sum + word.weight, 0);
}
