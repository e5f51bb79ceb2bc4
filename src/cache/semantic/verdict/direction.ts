// Who does what to whom, and from where to where: the same words in exchanged places.
import type { Alignment, Side } from './align.ts';
import { areOpposites, directionSet, infinitiveHeadSet, symmetricSet } from './lexicon.ts';
import type { Word } from './words.ts';

/** Pairs tried; longer questions have more words in common than can be exchanged with sense. */
const matchedMax = 24;

/** Words that changed places, or that a 'to' or 'from' left for another word. */
export function directionReversed(alignment: Alignment): string | undefined {
  return exchanged(alignment) ?? exchanged({ a: alignment.b, b: alignment.a }) ?? redirected(alignment) ?? turnedOnAsker(alignment);
}

/** Two words whose exchange makes the one question more like the other. */
function exchanged({ a, b }: Alignment): string | undefined {
  const words = a.question.words;
  const pairsOfB = neighbourPairs(b.question.words.map((word) => word.base));
  const bases = words.map((word, i) => (a.partners[i]! >= 0 ? b.question.words[a.partners[i]!]!.base : word.base));
  const before = shared(bases, pairsOfB);
  const matched = bases.map((_, i) => i).filter((i) => a.partners[i]! >= 0 && words[i]!.kind === 'content').slice(0, matchedMax);
  for (const [n, i] of matched.entries()) {
    for (const j of matched.slice(n + 1)) {
      if (a.partners[i]! < a.partners[j]! || bases[i] === bases[j] || isSymmetric(a, i, j)) continue;
      if (isCompound(a, b, i, j) || isPassive(a, b, i) || isPassive(a, b, j)) continue;
      // A tenant and a landlord: whoever stands first acts.
      if (areOpposites(bases[i]!, bases[j]!)) return `order reversed: ${words[i]!.text} / ${words[j]!.text}`;
      const swapped = [...bases];
      [swapped[i], swapped[j]] = [bases[j]!, bases[i]!];
      // One pair more comes about by chance.
      if (shared(swapped, pairsOfB) >= before + 2) return `order reversed: ${words[i]!.text} / ${words[j]!.text}`;
    }
  }
  return undefined;
}

/** Neighbours, the borders of the text among them. */
function neighbourPairs(bases: readonly string[]): Set<string> {
  return new Set([...bases, '.'].map((base, i) => `${bases[i - 1] ?? '.'} ${base}`));
}

function shared(bases: readonly string[], pairs: ReadonlySet<string>): number {
  let count = 0;
  for (const pair of neighbourPairs(bases)) if (pairs.has(pair)) count++;
  return count;
}

const joining: ReadonlySet<string> = new Set(['and', 'or', 'vs', 'versus']);

/** Whether a relation that holds both ways joins the two. */
function isSymmetric(side: Side, i: number, j: number): boolean {
  const { words } = side.question;
  const between = words.slice(i + 1, j);
  if (between.length <= 3 && between.some((word) => joining.has(word.text))) return true;
  const { sentence } = words[i]!;
  return words.some((word) => word.sentence === sentence && symmetricSet.has(word.text));
}

/** A word behind a preposition of direction in one question only, and another one in the other question only. */
function redirected({ a, b }: Alignment): string | undefined {
  const [ofA, ofB] = [directedWords(a), directedWords(b)];
  for (const [i, preposition] of ofA) {
    const partner = a.partners[i]!;
    if (partner < 0 || ofB.get(partner) === preposition || isSymmetric(a, i, i) || isSymmetric(b, partner, partner)) continue;
    for (const [j, other] of ofB) {
      if (other !== preposition || b.partners[j]! < 0 || ofA.get(b.partners[j]!) === preposition) continue;
      return `direction reversed: ${preposition} ${a.question.words[i]!.text} / ${other} ${b.question.words[j]!.text}`;
    }
  }
  return undefined;
}

/** Content words behind a preposition of direction up to the next word of grammar. */
function directedWords(side: Side): Map<number, string> {
  const found = new Map<number, string>();
  let preposition: string | undefined;
  for (const [i, word] of side.question.words.entries()) {
    if (directionSet.has(word.text)) preposition = isInfinitive(side.question.words, i) ? undefined : word.text;
    else if (word.kind === 'content') {
      if (preposition !== undefined) found.set(i, preposition);
    } else if (!determiners.has(word.text)) preposition = undefined;
  }
  return found;
}

const determiners: ReadonlySet<string> = new Set(['a', 'an', 'the', 'my', 'your', 'our', 'his', 'her', 'their', 'its', 'this', 'that']);

function isInfinitive(words: readonly Word[], i: number): boolean {
  return words[i]!.text === 'to' && (i === 0 || infinitiveHeadSet.has(words[i - 1]!.text));
}

/** `pasta recipe` and `recipe for pasta` say the same. */
function isCompound(a: Side, b: Side, i: number, j: number): boolean {
  const linked = (side: Side, first: number, second: number) => {
    const between = side.question.words.slice(first + 1, second);
    return between.length > 0 && between.length <= 2 && linking.has(between[0]!.text);
  };
  const [x, y] = [a.partners[i]!, a.partners[j]!];
  return j === i + 1 && linked(b, y, x) || x === y + 1 && linked(a, i, j);
}

const linking: ReadonlySet<string> = new Set(['of', 'for', 'in', 'on', 'at', 'about', 'with', 'by']);

/** `they produce paper` and `paper is produced`: the verb changes its form with its place. */
function isPassive(a: Side, b: Side, i: number): boolean {
  return a.question.words[i]!.text !== b.question.words[a.partners[i]!]!.text;
}

/** I do it to someone, or someone to me. */
function turnedOnAsker({ a, b }: Alignment): string | undefined {
  for (const [one, other] of [[a, b], [b, a]] as const) {
    for (const [i, word] of one.question.words.entries()) {
      const partner = one.partners[i]!;
      if (word.kind !== 'content' || partner < 0 || one.question.words[i - 1]?.text !== 'i') continue;
      const object = other.question.words[partner + 1]?.text;
      if (object !== 'me' && object !== 'us' || one.question.words[i + 1]?.text === object) continue;
      return `direction reversed: i ${word.text} / ${word.text} ${object}`;
    }
  }
  return undefined;
}
