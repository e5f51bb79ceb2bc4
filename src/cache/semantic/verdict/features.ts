// What the verifier weighs: numbers about a pair of questions, the same whichever comes first.
import { unmatched } from './align.ts';
import type { Alignment, MatchKind, Side } from './align.ts';
import { questionKind } from './question-kind.ts';
import { substitutions, weightOf } from './substitution.ts';
import { wordTable } from './word-table.ts';
import type { Word } from './words.ts';

export const featureNames = [
  'similarity', 'high similarity', 'low similarity', 'least covered', 'most covered', 'words on both sides', 'rarest word that differs',
  'far in meaning', 'words on one side', 'substitution', 'substitution far', 'substitutions', 'order', 'other kind', 'extra sentences',
  'mistakes', 'synonyms', 'letters', 'length', 'matched',
] as const;
export type FeatureName = (typeof featureNames)[number];

/** In the order of `featureNames`; each between about 0 and 2. */
export function featuresOf(alignment: Alignment, similarity: number): number[] {
  const { a, b } = alignment;
  const [openA, openB] = [unmatched(a), unmatched(b)];
  const [weightA, weightB] = [weightOf(openA), weightOf(openB)];
  const [coverA, coverB] = [coverage(a, weightA), coverage(b, weightB)];
  const places = substitutions(alignment);
  const rarest = (words: readonly Word[]) => words.reduce((most, word) => Math.max(most, word.weight), 0);
  const [farA, farB] = [farness(openA, b), farness(openB, a)];
  const matchedCount = Math.max(1, a.partners.filter((partner) => partner >= 0).length);
  return [
    similarity,
    Math.max(0, similarity - 0.8) * 5,
    Math.max(0, 0.7 - similarity) * 5,
    Math.min(coverA, coverB),
    Math.max(coverA, coverB),
    soft(Math.min(weightA, weightB)),
    Math.min(rarest(openA), rarest(openB)),
    soft(Math.min(farA, farB)),
    soft(Math.abs(weightA - weightB)),
    soft(places.reduce((most, place) => Math.max(most, place.weight), 0)),
    soft(places.reduce((most, place) => Math.max(most, place.weight * (1 - Math.max(0, place.nearness))), 0)),
    soft(places.length),
    inversions(a),
    questionKind(a) === questionKind(b) ? 0 : 1,
    soft(extraWeight(a) + extraWeight(b)),
    count(a, 'mistake') / matchedCount,
    (count(a, 'synonym') + count(a, 'ending')) / matchedCount,
    lettersAlike(a, b),
    Math.abs(Math.log((1 + coreWeight(a)) / (1 + coreWeight(b)))),
    soft(matchedCount / 4),
  ];
}

/** Beyond some, more says little. */
function soft(value: number): number {
  return value / (1 + value / 2);
}

function coreWeight(side: Side): number {
  return weightOf(side.question.words.filter((word) => !side.extraSentences.has(word.sentence)));
}

function coverage(side: Side, open: number): number {
  const total = coreWeight(side);
  return total === 0 ? 0 : 1 - open / total;
}

/** Weight of open words that no word of the other side comes near. */
function farness(open: readonly Word[], other: Side): number {
  const table = wordTable();
  let sum = 0;
  for (const word of open) {
    let nearest = 0;
    for (const candidate of other.question.words) {
      if (candidate.kind === 'content') nearest = Math.max(nearest, table.similarity(word.text, candidate.text));
    }
    sum += word.weight * (1 - nearest);
  }
  return sum;
}

/** The share of matched pairs that stand the other way round. */
function inversions({ partners }: Side): number {
  const order = partners.filter((partner) => partner >= 0);
  let inverted = 0;
  for (let i = 0; i < order.length; i++) for (let j = i + 1; j < order.length; j++) if (order[i]! > order[j]!) inverted++;
  const pairs = (order.length * (order.length - 1)) / 2;
  return pairs === 0 ? 0 : inverted / pairs;
}

function extraWeight({ question, extraSentences }: Side): number {
  return weightOf(question.words.filter((word) => extraSentences.has(word.sentence)));
}

function count(side: Side, kind: MatchKind): number {
  return side.kinds.filter((found) => found === kind).length;
}

/** Dice's coefficient of the letter triples of all words. */
function lettersAlike(a: Side, b: Side): number {
  const [ofA, ofB] = [a, b].map(triples) as [Set<string>, Set<string>];
  let both = 0;
  for (const triple of ofA) if (ofB.has(triple)) both++;
  return ofA.size + ofB.size === 0 ? 0 : (2 * both) / (ofA.size + ofB.size);
}

function triples(side: Side): Set<string> {
  const found = new Set<string>();
  for (const word of side.question.words) {
    if (side.extraSentences.has(word.sentence)) continue;
    const padded = ` ${word.text} `;
    for (let i = 0; i + 3 <= padded.length; i++) found.add(padded.slice(i, i + 3));
  }
  return found;
}
