// Which word of one question is which word of the other: the same, an ending apart, a synonym, a typing mistake, a
// short form. What stays over is what the questions differ in.
import { areDerived } from './base-form.ts';
import { isShortened, keystrokesBetween, mistakesMax } from './distance.ts';
import { areOpposites, areSynonyms } from './lexicon.ts';
import { wordTable } from './word-table.ts';
import { readQuestion } from './words.ts';
import type { Question, Word } from './words.ts';

export type MatchKind = 'same' | 'ending' | 'synonym' | 'short form' | 'mistake';

export type Side = {
  readonly question: Question;
  /** Word number -> the other side's word number, -1 for none; of words that are not content always -1. */
  readonly partners: readonly number[];
  readonly kinds: readonly (MatchKind | undefined)[];
  /** Sentences that the other side has nothing of. */
  readonly extraSentences: ReadonlySet<number>;
};

export type Alignment = { readonly a: Side; readonly b: Side };

/** A sentence with less than this share of its weight in common tells something of its own. */
const extraShareMax = 0.34;
const acronymLettersMax = 6;
/** Typing mistakes that tell a careless hand. */
const carelessMin = 2;

/** The same whichever question comes first. */
export function compare(one: string, other: string): Alignment {
  const [first, second] = one < other ? [one, other] : [other, one];
  return align(readQuestion(first), readQuestion(second));
}

export function align(a: Question, b: Question): Alignment {
  const pairing = new Pairing(a, b);
  pairing.matchEqual();
  pairing.matchAcronyms();
  pairing.matchAlike();
  pairing.matchMistyped();
  const sides = { a: sideOf(a, pairing.partnersA, pairing.kindsA), b: sideOf(b, pairing.partnersB, pairing.kindsB) };
  // Where both tell something of their own, these answer to each other: neither is beside the question.
  if (sides.a.extraSentences.size === 0 || sides.b.extraSentences.size === 0) return sides;
  return { a: { ...sides.a, extraSentences: new Set() }, b: { ...sides.b, extraSentences: new Set() } };
}

/** Words that count and have no partner, in sentences that the other side has something of. */
export function unmatched(side: Side): Word[] {
  return side.question.words.filter((word, i) => isOpen(side, i) && !side.extraSentences.has(word.sentence));
}

export function isOpen(side: Side, i: number): boolean {
  return side.question.words[i]!.kind !== 'function' && side.partners[i] === -1;
}

class Pairing {
  readonly partnersA: number[];
  readonly partnersB: number[];
  readonly kindsA: (MatchKind | undefined)[];
  readonly kindsB: (MatchKind | undefined)[];
  readonly #a: readonly Word[];
  readonly #b: readonly Word[];

  constructor(a: Question, b: Question) {
    this.#a = a.words;
    this.#b = b.words;
    this.partnersA = this.#a.map(() => -1);
    this.partnersB = this.#b.map(() => -1);
    this.kindsA = this.#a.map(() => undefined);
    this.kindsB = this.#b.map(() => undefined);
  }

  /** Of several equal words those with the same neighbour go together. */
  matchEqual(): void {
    const places = new Map<string, number[]>();
    this.#b.forEach((word, j) => {
      if (word.kind !== 'function') places.set(word.base, [...(places.get(word.base) ?? []), j]);
    });
    for (const [i, word] of this.#a.entries()) {
      if (word.kind === 'function') continue;
      const free = (places.get(word.base) ?? []).filter((j) => this.partnersB[j] === -1);
      const best = free.find((j) => this.#a[i - 1]?.base === this.#b[j - 1]?.base)
        ?? free.find((j) => this.#a[i + 1]?.base === this.#b[j + 1]?.base) ?? free[0];
      if (best !== undefined) this.#pair(i, best, 'same');
    }
  }

  /** HR and human resources. */
  matchAcronyms(): void {
    this.#acronymsOf(this.#a, this.partnersA, this.#b, this.partnersB, (i, j) => this.#pair(i, j, 'short form', true));
    this.#acronymsOf(this.#b, this.partnersB, this.#a, this.partnersA, (j, i) => this.#pair(i, j, 'short form', true));
  }

  /** What is nearly equal, the surest first. */
  matchAlike(): void {
    const found: { readonly i: number; readonly j: number; readonly kind: MatchKind; readonly grade: number }[] = [];
    for (const [i, a] of this.#a.entries()) {
      if (a.kind !== 'content' || this.partnersA[i] !== -1) continue;
      for (const [j, b] of this.#b.entries()) {
        if (b.kind !== 'content' || this.partnersB[j] !== -1) continue;
        const kind = kindOf(a, b);
        if (kind !== undefined) found.push({ i, j, kind, grade: grades[kind] - Math.abs(i / this.#a.length - j / this.#b.length) });
      }
    }
    found.sort((x, y) => y.grade - x.grade);
    for (const { i, j, kind } of found) {
      if (this.partnersA[i] === -1 && this.partnersB[j] === -1) this.#pair(i, j, kind);
    }
  }

  /** Where the typing is careless, also a word that exists may be meant for another in the same place. */
  matchMistyped(): void {
    const mistakes = this.kindsA.flatMap((kind, i) => (kind === 'mistake' ? [i] : []));
    if (mistakes.length < carelessMin) {
      // One letter for another may make another word, as in nitrate and nitrite.
      for (const i of mistakes) {
        const [a, b] = [this.#a[i]!.text, this.#b[this.partnersA[i]!]!.text];
        if (a.length === b.length && !isSwap(a, b)) this.#part(i);
      }
      return;
    }
    for (const [i, a] of this.#a.entries()) {
      if (a.kind !== 'content' || this.partnersA[i] !== -1) continue;
      const j = this.#b.findIndex((b, at) => {
        if (b.kind !== 'content' || this.partnersB[at] !== -1 || b.text[0] !== a.text[0]) return false;
        const besides = this.#a[i - 1]?.text === this.#b[at - 1]?.text || this.#a[i + 1]?.text === this.#b[at + 1]?.text;
        return besides && keystrokesBetween(a.text, b.text, 1) === 1;
      });
      if (j >= 0) this.#pair(i, j, 'mistake');
    }
  }

  #part(i: number): void {
    const j = this.partnersA[i]!;
    [this.partnersA[i], this.partnersB[j]] = [-1, -1];
    [this.kindsA[i], this.kindsB[j]] = [undefined, undefined];
  }

  #pair(i: number, j: number, kind: MatchKind, shared = false): void {
    if (!shared || this.partnersA[i] === -1) this.partnersA[i] = j;
    if (!shared || this.partnersB[j] === -1) this.partnersB[j] = i;
    this.kindsA[i] = kind;
    this.kindsB[j] = kind;
  }

  #acronymsOf(shorts: readonly Word[], shortPartners: readonly number[], longs: readonly Word[], longPartners: readonly number[],
    pair: (short: number, long: number) => void): void {
    for (const [i, word] of shorts.entries()) {
      if (shortPartners[i] !== -1) continue;
      const run = acronymReadings(word).map((letters) => firstRun(letters, longs, longPartners)).find((found) => found !== undefined);
      for (const j of run ?? []) pair(i, j);
    }
  }
}

const grades: Readonly<Record<MatchKind, number>> = { same: 4, ending: 3, 'short form': 2.6, synonym: 2.3, mistake: 2 };

/** Its letters and digits, then those without a plural's s; none for words that are hardly a short form. */
function acronymReadings(word: Word): string[] {
  if (word.kind === 'function' || !/^[a-z0-9]{2,7}$/.test(word.text) || /^\d+$/.test(word.text)) return [];
  const singular = word.capitals === 'acronym' && word.text.length > 2 && word.text.endsWith('s') ? [word.text.slice(0, -1)] : [];
  return [word.text, ...singular].filter((letters) => letters.length <= acronymLettersMax);
}

function firstRun(letters: string, words: readonly Word[], partners: readonly number[]): number[] | undefined {
  for (let start = 0; start < words.length; start++) {
    const run = runOfInitials(letters, words, start);
    if (run !== undefined && run.every((j) => partners[j] === -1)) return run;
  }
  return undefined;
}

/** The words from `start` whose initials are `letters`; grammar between them may be left out. */
function runOfInitials(letters: string, words: readonly Word[], start: number): number[] | undefined {
  const run: number[] = [];
  let at = 0;
  for (let j = start; j < words.length && at < letters.length; j++) {
    const word = words[j]!;
    const initial = word.text[0];
    if (initial === letters[at] && word.text.length > 1 || word.text === letters[at]) {
      run.push(j);
      at++;
    } else if (word.kind !== 'function' || run.length === 0) return undefined;
  }
  const contents = run.filter((j) => words[j]!.kind !== 'function');
  return at === letters.length && contents.length >= 2 ? contents : undefined;
}

function kindOf(a: Word, b: Word): MatchKind | undefined {
  if (a.member !== undefined && b.member !== undefined && a.member.name === b.member.name) {
    return a.member.member === b.member.member ? 'synonym' : undefined;
  }
  if (areOpposites(a.base, b.base) || areOpposites(a.text, b.text)) return undefined;
  if (areDerived(a.text, b.text) || areDerived(a.base, b.base)) return 'ending';
  if (areSynonyms(a.base, b.base)) return 'synonym';
  if (isShortForm(a, b) || isShortForm(b, a)) return 'short form';
  return isMistake(a, b) ? 'mistake' : undefined;
}

function isShortForm(short: Word, long: Word): boolean {
  if (short.text.length < 2 || wordTable().has(short.text) || long.text.length < 5) return false;
  const bare = short.text.length > 3 && short.text.endsWith('s') ? short.text.slice(0, -1) : short.text;
  if (long.text.startsWith(short.text)) return true;
  const withoutVowels = !/[aeiou]/.test(bare.slice(1));
  return withoutVowels && isShortened(bare, long.text) || short.text.length >= 5 && isShortened(short.text, long.text);
}

/** A word that exists is no mistake for another one that does. */
function isMistake(a: Word, b: Word): boolean {
  const table = wordTable();
  const [knownA, knownB] = [table.has(a.text), table.has(b.text)];
  if (knownA && knownB || a.text[0] !== b.text[0] && a.text[1] !== b.text[0]) return false;
  if (!knownA && a.capitals === 'name' && !knownB && b.capitals === 'name') return false;
  const limit = mistakesMax(Math.max(a.text.length, b.text.length));
  const allowed = knownA || knownB ? limit : Math.min(1, limit);
  return keystrokesBetween(a.text, b.text, allowed) <= allowed;
}

/** Whether only the order of letters differs. */
function isSwap(a: string, b: string): boolean {
  return [...a].sort().join('') === [...b].sort().join('');
}

function sideOf(question: Question, partners: Side['partners'], kinds: Side['kinds']): Side {
  return { question, partners, kinds, extraSentences: extraSentences(question, partners) };
}

function extraSentences(question: Question, partners: readonly number[]): Set<number> {
  const total = new Array<number>(question.asking.length).fill(0);
  const matched = new Array<number>(question.asking.length).fill(0);
  question.words.forEach((word, i) => {
    total[word.sentence]! += word.weight;
    if (partners[i] !== -1) matched[word.sentence]! += word.weight;
  });
  const most = Math.max(0, ...matched);
  const extra = new Set<number>();
  if (most === 0) return extra;
  for (const [s, asks] of question.asking.entries()) {
    if (!asks && matched[s]! < most && matched[s]! < extraShareMax * total[s]!) extra.add(s);
  }
  return extra;
}
