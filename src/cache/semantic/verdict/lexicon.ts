// The word lists of lexicon/ as maps, read once. Keys are base forms (base-form.ts), so that a list names each
// word once and not all its endings.
import { baseForm } from './base-form.ts';
import { abbreviations, contractions } from './lexicon/abbreviations.ts';
import { classes, negations, numberWords } from './lexicon/classes.ts';
import {
  directions, foreignWords, functionWords, infinitiveHeads, softWords, symmetricWords,
} from './lexicon/function-words.ts';
import { negatingPrefixes, opposites } from './lexicon/opposites.ts';
import { phrases, synonyms } from './lexicon/synonyms.ts';

const wordsOf = (text: string) => text.trim().split(/\s+/);

export const functionWordSet: ReadonlySet<string> = new Set(wordsOf(functionWords));
export const softWordSet: ReadonlySet<string> = new Set(wordsOf(softWords).map(baseForm));
export const negationSet: ReadonlySet<string> = new Set(wordsOf(negations));
export const directionSet: ReadonlySet<string> = new Set(wordsOf(directions));
export const symmetricSet: ReadonlySet<string> = new Set(wordsOf(symmetricWords));
export const infinitiveHeadSet: ReadonlySet<string> = new Set(wordsOf(infinitiveHeads));
export const foreignWordSet: ReadonlySet<string> = new Set(wordsOf(foreignWords));

/** `two` -> `2`. */
export const numberOf: ReadonlyMap<string, string> = new Map(wordsOf(numberWords).map(split));
/** `what's` -> `what is`. */
export const expansionOf: ReadonlyMap<string, string> = new Map(contractions.trim().split(/[|\n]/).map(split));
/** `pkg` -> base form of `package`. */
export const longFormOf: ReadonlyMap<string, string> = new Map(
  wordsOf(abbreviations).map(split).map(([short, long]) => [short, baseForm(long)]),
);

/** First word -> the phrases that begin with it, longest first. */
export const phrasesByFirst: ReadonlyMap<string, readonly Phrase[]> = readPhrases();
export type Phrase = { readonly words: readonly string[]; readonly stands: string };

/** Base form -> the groups it is in. */
const groupsOf: ReadonlyMap<string, readonly number[]> = readGroups();
/** Base form -> its opposites' base forms. */
const oppositesOf: ReadonlyMap<string, ReadonlySet<string>> = readOpposites();

export type ClassMember = { readonly name: string; readonly member: string };
/** Word or base form -> its closed class and which member of it the word is. */
const classOf: ReadonlyMap<string, ClassMember> = readClasses();

export function areSynonyms(a: string, b: string): boolean {
  const groups = groupsOf.get(a);
  const others = groups && groupsOf.get(b);
  return others !== undefined && groups!.some((group) => others.includes(group));
}

/** Also for a word and the same word behind a negating prefix. Both are base forms. */
export function areOpposites(a: string, b: string): boolean {
  if (oppositesOf.get(a)?.has(b) === true || isNegated(a, b) || isNegated(b, a)) return true;
  const [gradeA, gradeB] = [ungraded(a), ungraded(b)];
  return gradeA !== undefined && gradeB !== undefined && oppositesOf.get(gradeA)?.has(gradeB) === true;
}

/** `warmer` -> `warm`, `coolest` -> `cool`. */
function ungraded(word: string): string | undefined {
  const ending = /^(.{3,}?)(?:er|est)$/.exec(word)?.[1];
  return ending === undefined ? undefined : baseForm(`${ending}ed`);
}

export function classMember(text: string, base: string): ClassMember | undefined {
  return classOf.get(text) ?? classOf.get(base);
}

function isNegated(plain: string, other: string): boolean {
  if (plain.length < 3 || other.length < plain.length + 2 || !other.endsWith(plain)) return false;
  return negatingPrefixes.includes(other.slice(0, other.length - plain.length));
}

function split(pair: string): [string, string] {
  const at = pair.indexOf('=', 1);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

function readPhrases(): Map<string, Phrase[]> {
  const byFirst = new Map<string, Phrase[]>();
  for (const line of phrases.split(/[;\n]/).filter((text) => text.includes('='))) {
    const [words, stands] = line.split('=').map((text) => text.trim()) as [string, string];
    const phrase = { words: wordsOf(words), stands };
    const first = phrase.words[0]!;
    byFirst.set(first, [...(byFirst.get(first) ?? []), phrase]);
  }
  for (const list of byFirst.values()) list.sort((a, b) => b.words.length - a.words.length);
  return byFirst;
}

function readGroups(): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const [number, group] of synonyms.split(';').entries()) {
    for (const word of new Set(wordsOf(group).map(baseForm))) groups.set(word, [...(groups.get(word) ?? []), number]);
  }
  return groups;
}

function readOpposites(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const add = (a: string, b: string) => {
    for (const [x, y] of [[a, b], [baseForm(a), baseForm(b)]] as const) {
      if (x !== y) found.set(x, (found.get(x) ?? new Set()).add(y));
    }
  };
  for (const pair of opposites.split(';')) {
    const [left = [], right = []] = pair.split('/').map(wordsOf);
    for (const a of left) for (const b of right) (add(a, b), add(b, a));
  }
  return found;
}

function readClasses(): Map<string, ClassMember> {
  const members = new Map<string, ClassMember>();
  for (const line of classes.trim().split('\n')) {
    const [name, list] = line.split(': ') as [string, string];
    for (const variants of wordsOf(list)) {
      const names = variants.split('=');
      for (const word of names) {
        members.set(word, { name, member: names[0]! });
        if (word.length > 3 && !members.has(baseForm(word))) members.set(baseForm(word), { name, member: names[0]! });
      }
    }
  }
  return members;
}
