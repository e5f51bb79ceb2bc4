// What the verifier weighs: numbers about a pair of questions, the same whichever comes first.
import { unmatched } from './align.ts';
import type { Alignment, MatchKind, Side } from './align.ts';
import { substitutions, weightOf } from './substitution.ts';
import type { Word } from './words.ts';

/** Each feature and which way it may speak: 1 only for one answer, -1 only against it, 0 as the fit finds. */
export const features = {
  similarity: 1,
  'high similarity': 1,
  'low similarity': -1,
  'words in common': 1,
  'rarest word that differs': -1,
  'rarest word in one question only': -1,
  'substitution far in meaning': -1,
  substitutions: -1,
  mistakes: 0,
  synonyms: 0,
  'words matched': 1,
  'similar in other words': 1,
} as const satisfies Record<string, -1 | 0 | 1>;

/** In the order of `features`; each between about 0 and 2. */
export function featuresOf(alignment: Alignment, similarity: number): number[] {
  const { a, b } = alignment;
  const [openA, openB] = [unmatched(a), unmatched(b)];
  const places = substitutions(alignment);
  const common = Math.min(coverage(a, openA), coverage(b, openB));
  const matched = Math.max(1, Math.min(matchedCount(a), matchedCount(b)));
  return [
    similarity,
    Math.max(0, similarity - 0.8) * 5,
    Math.max(0, 0.7 - similarity) * 5,
    common,
    Math.min(rarest(openA), rarest(openB)),
    Math.abs(rarest(asked(a, openA)) - rarest(asked(b, openB))),
    soft(places.reduce((most, place) => Math.max(most, place.weight * (1 - Math.max(0, place.nearness))), 0)),
    soft(places.length),
    Math.max(count(a, ['mistake']), count(b, ['mistake'])) / matched,
    Math.max(count(a, ['synonym', 'ending']), count(b, ['synonym', 'ending'])) / matched,
    soft(matched / 4),
    similarity * (1 - common),
  ];
}

/** Those in sentences that ask. */
function asked(side: Side, words: readonly Word[]): Word[] {
  return words.filter((word) => side.question.asking[word.sentence]);
}

function rarest(words: readonly Word[]): number {
  return words.reduce((most, word) => Math.max(most, word.weight), 0);
}

/** Beyond some, more says little. */
function soft(value: number): number {
  return value / (1 + value / 2);
}

/** The share of its weight that the other side has too. */
function coverage(side: Side, open: readonly Word[]): number {
  const total = weightOf(side.question.words.filter((word) => !side.extraSentences.has(word.sentence)));
  return total === 0 ? 0 : 1 - weightOf(open) / total;
}

function matchedCount(side: Side): number {
  return side.partners.filter((partner) => partner >= 0).length;
}

function count(side: Side, kinds: readonly MatchKind[]): number {
  return side.kinds.filter((kind) => kind !== undefined && kinds.includes(kind)).length;
}
