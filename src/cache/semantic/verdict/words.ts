// A question as words: what is content, what is a number, a name, a negation, and which sentence it stands in.
// Bounded: of longer texts only the beginning is read, and `whole` says so.
import { baseForm } from './base-form.ts';
import { classMember, expansionOf, foreignWordSet, functionWordSet, longFormOf, numberOf, phrasesByFirst, softWordSet } from './lexicon.ts';
import type { ClassMember } from './lexicon.ts';
import { keystrokesBetween } from './distance.ts';
import { wordTable } from './word-table.ts';

/** A question has a tenth of these; beyond them nothing is compared. */
const charactersMax = 2000;
const wordsMax = 200;
/** A soft word's weight beside that of other content. */
const softShare = 0.35;
/** What a number tells; numbers are the guard's, so they hardly count as content. */
const numberWeight = 0.5;

export type Word = {
  readonly text: string;
  readonly base: string;
  readonly kind: 'function' | 'content' | 'number';
  /** How much a difference in it matters, 0 to 1; 0 for function words. */
  readonly weight: number;
  /** How it is written where the text's other words are small: a capital tells a name, several a short form. */
  readonly capitals: 'none' | 'name' | 'acronym';
  readonly sentence: number;
  readonly member: ClassMember | undefined;
};

export type Question = {
  readonly words: readonly Word[];
  /** Sentence -> whether it asks: what only tells how the question came about does not. */
  readonly asking: readonly boolean[];
  /** False when the text went on. */
  readonly whole: boolean;
  /** The rules are for English; others are judged more strictly. */
  readonly english: boolean;
};

type Piece = { readonly raw: string; readonly sentence: number; readonly first: boolean };

export function readQuestion(text: string): Question {
  const whole = text.length <= charactersMax;
  const { pieces, marked } = piecesOf(whole ? text : text.slice(0, charactersMax));
  const cased = isCased(pieces);
  const words = withPhrases(pieces.slice(0, wordsMax).flatMap((piece) => wordsOf(piece, cased)));
  const counted = withDurations(words);
  return {
    words: counted,
    asking: askingSentences(counted, marked),
    whole: whole && pieces.length <= wordsMax,
    english: isEnglish(counted),
  };
}

const chunk = /[\p{L}\p{M}\p{N}$€£¥₹%°&][\p{L}\p{M}\p{N}'’.:+#&%°]*|[.?!\n]+/gu;
const ideograph = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;
const abbreviated = /^(?:\p{L}|vs|etc|incl|approx|mr|mrs|ms|dr|st|no|e\.g|i\.e)$/iu;

function piecesOf(text: string): { readonly pieces: Piece[]; readonly marked: ReadonlySet<number> } {
  const clean = text.normalize('NFKC').replaceAll(/(\d),(?=\d{3}(?!\d))/g, '$1').replaceAll(/\bw\/o\b/gi, 'without')
    .replaceAll(/\bw\//gi, 'with ').replaceAll('’', "'");
  const pieces: Piece[] = [];
  const marked = new Set<number>();
  let sentence = 0;
  let first = true;
  for (const [found] of clean.matchAll(chunk)) {
    const raw = found.replace(/[.:']+$/, '');
    if (raw === '' || /^[.?!\n]/.test(found)) {
      if (found.includes('?') && !first) marked.add(sentence);
      if (!first) sentence++;
      first = true;
      continue;
    }
    for (const part of ideograph.test(raw) ? [...raw] : [raw]) {
      pieces.push({ raw: part, sentence, first });
      first = false;
    }
    if (found.endsWith('.') && !abbreviated.test(raw)) {
      sentence++;
      first = true;
    }
  }
  return { pieces, marked };
}

/** Whether capitals tell names: not in texts without any, nor in titles. */
function isCased(pieces: readonly Piece[]): boolean {
  const inner = pieces.filter((piece) => !piece.first && /^\p{L}/u.test(piece.raw) && piece.raw !== 'I');
  const capitals = inner.filter((piece) => /^\p{Lu}/u.test(piece.raw)).length;
  return capitals <= 0.6 * inner.length || inner.length < 3;
}

function wordsOf(piece: Piece, cased: boolean): Word[] {
  const lower = piece.raw.toLowerCase();
  const expanded = expansionOf.get(lower);
  if (expanded !== undefined) return expanded.split(' ').map((part) => makeWord(part, piece, 'none'));
  if (lower.endsWith("n't")) return [makeWord(lower.slice(0, -3), piece, 'none'), makeWord('not', piece, 'none')];
  const capitals = cased ? capitalsOf(piece) : 'none';
  const bare = lower.endsWith("'s") ? lower.slice(0, -2) : lower;
  return quantityParts(bare).map((part) => makeWord(part, piece, capitals));
}

function capitalsOf({ raw, first }: Piece): Word['capitals'] {
  if ((raw.match(/\p{Lu}/gu) ?? []).length > 1) return 'acronym';
  return !first && /^\p{Lu}/u.test(raw) && raw.length > 1 ? 'name' : 'none';
}

/** `$4000` -> `$`, `4000`; `250ml` -> `250`, `ml`; `15%` -> `15`, `percent`. Codes such as E03 stay whole. */
function quantityParts(text: string): string[] {
  const parts = /^([$€£¥₹])?(\d+(?:[.:]\d+)*)(st|nd|rd|th)?([a-z%°]*)$/.exec(text);
  if (parts === null) return [text];
  const [, currency, digits = '', , unit = ''] = parts;
  const found = currency === undefined ? [digits] : [currency, digits];
  if (unit === '') return found;
  if (unit === '%') return [...found, 'percent'];
  return classMember(unit, unit) !== undefined || unit === 'am' || unit === 'pm' ? [...found, unit] : [text];
}

function makeWord(part: string, { sentence }: Pick<Piece, 'sentence'>, capitals: Word['capitals']): Word {
  const plain = part.normalize('NFD').replaceAll(/\p{M}/gu, '');
  const text = capitals === 'none' ? (mistypedOf(plain) ?? plain) : plain;
  const number = numberOf.get(text) ?? (/\d/.test(text) ? text : undefined);
  const place = { sentence, member: number === undefined ? undefined : classMember(text, text) };
  if (number !== undefined) return { text: number, base: number, kind: 'number', weight: numberWeight, capitals: 'none', ...place };
  const base = longFormOf.get(text) ?? baseForm(text);
  // In small letters 'may' is no month.
  const month = text === 'may' && capitals === 'name';
  const member = text === 'may' && !month ? undefined : classMember(text, base);
  const named = month || capitals === 'acronym' && acronymsAlike.has(text);
  if (functionWordSet.has(text) && !named) return { text, base, kind: 'function', weight: 0, capitals: 'none', sentence, member };
  const known = wordTable();
  const rarity = Math.min(known.weight(text), known.weight(base));
  const weight = softWordSet.has(base) ? softShare * rarity : Math.max(0.3, rarity);
  return { text, base, kind: 'content', weight, capitals: softWordSet.has(base) ? 'none' : capitals, sentence, member };
}

/** In capitals these are the health organisation, the country and the trade. */
const acronymsAlike: ReadonlySet<string> = new Set(['who', 'us', 'it']);

/** The word of grammar that an unknown word is one keystroke away from: waht, teh, wich. */
function mistypedOf(text: string): string | undefined {
  if (text.length < 3 || text.length > 7 || functionWordSet.has(text) || !/^[a-z]+$/.test(text) || wordTable().has(text)) return undefined;
  return often.find((word) => word[0] === text[0] && keystrokesBetween(text, word, 1) === 1)
    ?? often.find((word) => word.length === text.length && [...word].sort().join('') === [...text].sort().join(''));
}

const often = [
  'the', 'what', 'which', 'when', 'where', 'why', 'how', 'does', 'should', 'could', 'would', 'from', 'have', 'with', 'that', 'this',
  'and', 'for', 'are', 'can', 'please',
];

/** Marked by its question mark, or by how it begins. The last sentence asks when no other does. */
function askingSentences(words: readonly Word[], marked: ReadonlySet<number>): boolean[] {
  const asking: boolean[] = [];
  for (const [i, word] of words.entries()) {
    if (words[i - 1]?.sentence === word.sentence) continue;
    asking[word.sentence] = marked.has(word.sentence) || beginnings.has(word.text);
  }
  const filled = Array.from(asking, (asks) => asks ?? false);
  if (!filled.includes(true) && filled.length > 0) filled[filled.length - 1] = true;
  return filled;
}

const beginnings: ReadonlySet<string> = new Set([
  'who', 'what', 'which', 'when', 'where', 'why', 'how', 'show', 'give', 'tell', 'explain', 'list', 'find', 'recommend', 'write',
]);

/** Puts one word in the place of each phrase that has one. */
function withPhrases(words: readonly Word[]): Word[] {
  const out: Word[] = [];
  for (let i = 0; i < words.length; ) {
    const phrase = phrasesByFirst.get(words[i]!.text)?.find((candidate) => candidate.words.every((part, k) => words[i + k]?.text === part));
    if (phrase === undefined) {
      out.push(words[i]!);
      i++;
    } else {
      out.push(makeWord(phrase.stands, words[i]!, 'none'));
      i += phrase.words.length;
    }
  }
  return out;
}

const durations: ReadonlyMap<string, readonly [number, string]> = new Map([
  ['week', [7, 'day']], ['year', [12, 'month']], ['hour', [60, 'minute']], ['fortnight', [14, 'day']],
]);

/** `2 weeks` -> `14 days`, so that quantities compare in one unit. */
function withDurations(words: readonly Word[]): Word[] {
  const out = [...words];
  for (let i = 0; i + 1 < out.length; i++) {
    const [number, unit] = [out[i]!, out[i + 1]!];
    const smaller = number.kind === 'number' && /^\d{1,4}$/.test(number.text) ? durations.get(unit.member?.member ?? '') : undefined;
    if (smaller === undefined) continue;
    const text = String(Number(number.text) * smaller[0]);
    out[i] = { ...number, text, base: text };
    out[i + 1] = { ...unit, text: smaller[1], base: baseForm(smaller[1]), member: classMember(smaller[1], smaller[1]) };
  }
  return out;
}

function isEnglish(words: readonly Word[]): boolean {
  const letters = words.filter((word) => /\p{L}/u.test(word.text));
  if (letters.length === 0) return false;
  const latin = letters.filter((word) => /^[a-z]/.test(word.text)).length;
  const foreign = letters.filter((word) => foreignWordSet.has(word.text)).length;
  const own = letters.filter((word) => functionWordSet.has(word.text)).length;
  return latin >= 0.9 * letters.length && (own >= foreign || foreign < 2);
}
