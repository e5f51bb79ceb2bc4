// Rules that say at a glance why two questions cannot share an answer, however close their vectors are: numbers,
// negation, opposites, closed classes such as units and days, kind of question, direction, names.
// Each gives its reason in words; none knows a topic.
import { isOpen, unmatched } from './align.ts';
import type { Alignment, Side } from './align.ts';
import { directionReversed } from './direction.ts';
import { areOpposites, negationSet } from './lexicon.ts';
import { kindsDiffer, modalsDiffer } from './question-kind.ts';
import type { Word } from './words.ts';

/** Why the questions differ, undefined when no rule speaks. */
export function guardReason(alignment: Alignment): string | undefined {
  for (const rule of rules) {
    const reason = rule(alignment);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

type Rule = (alignment: Alignment) => string | undefined;

/** Prepositions among the opposites: a side that has one of them and not the other asks for its own half. */
const contrastingPrepositions: readonly (readonly [string, string])[] = [
  ['before', 'after'], ['with', 'without'], ['above', 'below'], ['over', 'under'], ['up', 'down'], ['in', 'out'], ['on', 'off'],
  ['inside', 'outside'], ['more', 'less'], ['more', 'fewer'], ['most', 'least'], ['many', 'few'],
];
/** Classes whose mere mention narrows a question. */
const narrowing: ReadonlySet<string> = new Set([
  'weekday', 'month', 'season', 'time', 'unit of temperature', 'unit of money', 'continent', 'colour',
]);
/** Which time is meant when none is said. */
const impliedMembers: ReadonlySet<string> = new Set(['now', 'today']);
const relativeTimes: ReadonlySet<string> = new Set(['last', 'next', 'previous', 'past', 'coming', 'upcoming', 'latest']);
const timeClasses: ReadonlySet<string> = new Set(['unit of duration', 'weekday', 'month', 'season']);
const conditionWordsMax = 6;
const firstPersons: ReadonlySet<string> = new Set(['i', 'my', 'we', 'our', 'me']);
const narrowingWords: ReadonlySet<string> = new Set(['only', 'illegal']);

const rules: readonly Rule[] = [
  numbers, negation, opposites, prepositions, memberships, narrowed, kindsDiffer, modalsDiffer, directionReversed, names, conditions,
];

function numbers({ a, b }: Alignment): string | undefined {
  const [ofA, ofB] = [a, b].map(openNumbers) as [string[], string[]];
  if (ofA.length > 0 && ofB.length > 0) return `numbers differ: ${ofA.join(', ')} / ${ofB.join(', ')}`;
  if (ofA.length + ofB.length > 0) return `number in one question only: ${[...ofA, ...ofB].join(', ')}`;
  const [orderA, orderB] = [a, b].map(digits) as [string[], string[]];
  return orderA.join() === orderB.join() ? undefined : `numbers in another order: ${orderA.join(', ')} / ${orderB.join(', ')}`;
}

/** In a sentence that only tells how things came about, a number in words tells little. */
function openNumbers(side: Side): string[] {
  const { words } = side.question;
  const open = words.filter((word, i) => word.kind === 'number' && isOpen(side, i));
  return open.filter((word) => !side.extraSentences.has(word.sentence) || /\d{2}|\D/.test(word.text)).map((word) => word.text);
}

function digits(side: Side): string[] {
  return side.question.words.filter((word, i) => word.kind === 'number' && side.kinds[i] === 'same').map((word) => word.text);
}

function negation({ a, b }: Alignment): string | undefined {
  const [ofA, ofB] = [a, b].map(negationsOf) as [string[], string[]];
  if (ofA.length % 2 === ofB.length % 2 && (ofA.length === 0) === (ofB.length === 0)) return undefined;
  return `negation in one question only: ${[...ofA, ...ofB].join(', ')}`;
}

function negationsOf(side: Side): string[] {
  return coreWords(side).filter((word) => negationSet.has(word.text)).map((word) => word.text);
}

function coreWords(side: Side): Word[] {
  return side.question.words.filter((word) => !side.extraSentences.has(word.sentence));
}

function opposites({ a, b }: Alignment): string | undefined {
  const [openA, openB] = [openTo(a, b), openTo(b, a)];
  for (const x of openA) {
    const y = openB.find((other) => areOpposites(x.base, other.base) || areOpposites(x.text, other.text));
    // Two words of grammar are the prepositions' rule.
    if (y !== undefined && (x.kind !== 'function' || y.kind !== 'function')) return `opposites: ${x.text} / ${y.text}`;
  }
  return undefined;
}

/** Words without a partner, those of grammar that the other question lacks among them. */
function openTo(side: Side, other: Side): Word[] {
  const texts = new Set(other.question.words.map((word) => word.text));
  return [...unmatched(side), ...coreWords(side).filter((word) => word.kind === 'function' && !texts.has(word.text))];
}

function prepositions({ a, b }: Alignment): string | undefined {
  const [inA, inB] = [a, b].map((side) => new Set(coreWords(side).map((word) => word.text))) as [Set<string>, Set<string>];
  for (const [x, y] of contrastingPrepositions) {
    if (inA.has(x) && !inA.has(y) && inB.has(y) && !inB.has(x)) return `opposites: ${x} / ${y}`;
    if (inA.has(y) && !inA.has(x) && inB.has(x) && !inB.has(y)) return `opposites: ${y} / ${x}`;
  }
  return undefined;
}

function memberships({ a, b }: Alignment): string | undefined {
  const [ofA, ofB] = [membersOf(a, b), membersOf(b, a)];
  for (const x of ofA) {
    const y = ofB.find((word) => sameClass(x.member!.name, word.member!.name) && x.member!.member !== word.member!.member);
    if (y !== undefined) return `${x.member!.name} differs: ${x.text} / ${y.text}`;
  }
  return undefined;
}

/** Whatever the units measure, an answer in one is none in another. */
function sameClass(a: string, b: string): boolean {
  return a === b || a.startsWith('unit of') && b.startsWith('unit of');
}

/** Members of closed classes that the other side lacks. Units of one letter count only behind a number. */
function membersOf(side: Side, other: Side): Word[] {
  const { words } = side.question;
  const shared = new Set(coreWords(other).map((word) => word.member?.member));
  const grammar = coreWords(side).filter((word) => word.kind === 'function' && !shared.has(word.member?.member));
  return [...unmatched(side), ...grammar].filter((word) => {
    return word.member !== undefined && (word.text.length > 1 || words[words.indexOf(word) - 1]?.kind === 'number');
  });
}

function narrowed({ a, b }: Alignment): string | undefined {
  for (const side of [a, b]) {
    const time = unmatched(side).find((word) => relativeTimes.has(word.text) && nearTime(side, word));
    if (time !== undefined) return `time in one question only: ${time.text}`;
  }
  for (const { member, text } of [...unmatched(a), ...unmatched(b)]) {
    if (member === undefined || !narrowing.has(member.name) || impliedMembers.has(member.member)) continue;
    return `${member.name} in one question only: ${text}`;
  }
  const [wordsA, wordsB] = [a, b].map((side) => new Set(coreWords(side).map((word) => word.text))) as [Set<string>, Set<string>];
  for (const word of narrowingWords) if (wordsA.has(word) !== wordsB.has(word)) return `in one question only: ${word}`;
  return undefined;
}

/** `last week`, `the week before last`. */
function nearTime(side: Side, word: Word): boolean {
  const { words } = side.question;
  const i = words.indexOf(word);
  return [i - 2, i - 1, i + 1, i + 2].some((at) => timeClasses.has(words[at]?.member?.name ?? '') || words[at]?.text === 'night');
}

function names({ a, b }: Alignment): string | undefined {
  const [ofA, ofB] = [openNames(a), openNames(b)];
  if (ofA.length > 0 && ofB.length > 0) return `names differ: ${textOf(ofA)} / ${textOf(ofB)}`;
  // What is written in capitals only may be shouted, or a short form of what the other question says.
  const single = [...ofA, ...ofB].filter((word) => word.capitals === 'name');
  return single.length > 0 ? `name in one question only: ${textOf(single)}` : undefined;
}

/** Without those that only complete a name whose short form the other question has: JFK, Kennedy Airport. */
function openNames(side: Side): Word[] {
  const { words } = side.question;
  let completes = false;
  return unmatched(side).filter((word) => {
    const i = words.indexOf(word);
    completes = side.kinds[i - 1] === 'short form' || completes && words[i - 1]?.capitals === 'name';
    return word.capitals !== 'none' && !completes;
  });
}

function textOf(words: readonly Word[]): string {
  return words.map((word) => word.text).join(' ');
}

/** A short sentence in which the asker tells a state of affairs: the answer may hang on it. */
function conditions({ a, b }: Alignment): string | undefined {
  for (const side of [a, b]) {
    const [extra] = side.extraSentences;
    const words = side.question.words.filter((word) => word.sentence === extra);
    if (side.extraSentences.size !== 1 || words.length > conditionWordsMax) continue;
    if (words.some((word) => firstPersons.has(word.text))) return `condition in one question only: ${textOf(words)}`;
  }
  return undefined;
}
