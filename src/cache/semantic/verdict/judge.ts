// Whether a cached answer may answer another question: the verdict behind every semantic hit.
// Pure, synchronous, a fraction of a millisecond whatever a client sends; refuses when in doubt.
import { compare, unmatched } from './align.ts';
import type { Alignment } from './align.ts';
import { featuresOf } from './features.ts';
import { guardReason } from './guard.ts';
import { substitutions } from './substitution.ts';
import { probabilityOf } from './verifier.ts';
import type { Question, Word } from './words.ts';

export type JudgeInput = {
  readonly question: string;
  readonly cached: string;
  /** Cosine of the two questions' vectors. */
  readonly similarity: number;
};

export type Verdict = {
  readonly same: boolean;
  /** Probability that both have one answer; 0 where a rule refuses. In mode cosine the similarity itself. */
  readonly score: number;
  /** In words, for the answer and the log: `numbers differ: 5 / 15`, in no order of the two questions. */
  readonly reason: string;
};

export type Judge = (input: JudgeInput) => Verdict;

/** `verified`: guard, then verifier. `guarded`: guard, then cosine. `cosine`: the bare threshold. */
export const modes = ['verified', 'guarded', 'cosine'] as const;
export type Mode = (typeof modes)[number];
export const defaultMode: Mode = 'verified';

/** What a pair must reach in each mode: a score in `verified`, a similarity in the others. bench/README.md has the curves. */
export const thresholds: Readonly<Record<Mode, number>> = { verified: 0.85, guarded: 0.8, cosine: 0.85 };
/** Where the rules do not know the language, and any other word may be the one that matters. */
const foreignThreshold = 0.97;
/** A substitution of less is one of courtesy. */
const substitutionWeightMin = 0.35;
/** Words nearer than this mean the same, if they are no opposites. */
const nearnessMin = 0.8;
const wordsShownMax = 4;

/** The verdict of `defaultMode` at its threshold. */
export const judge: Judge = judgeOf(defaultMode);

/** `threshold` may be stricter or laxer than the mode's own. */
export function judgeOf(mode: Mode, threshold: number = thresholds[mode]): Judge {
  if (mode === 'cosine') return (input) => byCosine(input, threshold);
  return (input) => (isSameText(input) ? sameText : byRules(input, mode, threshold));
}

const sameText: Verdict = { same: true, score: 1, reason: 'same text' };

function isSameText({ question, cached }: JudgeInput): boolean {
  return question.trim() === cached.trim();
}

function byCosine({ similarity }: JudgeInput, threshold: number): Verdict {
  const same = similarity >= threshold;
  return { same, score: Number.isFinite(similarity) ? similarity : 0, reason: `similarity ${shown(similarity)}` };
}

function byRules({ question, cached, similarity }: JudgeInput, mode: 'verified' | 'guarded', threshold: number): Verdict {
  if (!Number.isFinite(similarity)) return refused('no similarity');
  const alignment = compare(question, cached);
  const [a, b] = [alignment.a.question, alignment.b.question];
  if (!a.whole || !b.whole) return refused('too long to compare');
  if (!asksSomething(a) || !asksSomething(b)) return refused('too few words to compare');
  const against = guardReason(alignment);
  if (against !== undefined) return refused(against);
  const english = a.english && b.english;
  if (!english && wordsOf(a) !== wordsOf(b)) return refused('other words, in a language without rules');
  const needed = english ? threshold : Math.max(threshold, foreignThreshold);
  const score = probabilityOf(featuresOf(alignment, similarity));
  const same = mode === 'verified' ? score >= needed : similarity >= needed && substitutionIn(alignment) === undefined;
  return { same, score, reason: same ? agreement(alignment, similarity) : difference(alignment, similarity) };
}

function asksSomething({ words }: Question): boolean {
  return words.some(({ kind }) => kind !== 'function');
}

/** In any order. */
function wordsOf({ words }: Question): string {
  return words.map((word) => word.text).sort().join(' ');
}

function refused(reason: string): Verdict {
  return { same: false, score: 0, reason };
}

/** Something else in the same place, and no rewording that is known. */
function substitutionIn(alignment: Alignment): string | undefined {
  const found = substitutions(alignment).find(({ weight, nearness }) => weight >= substitutionWeightMin && nearness < nearnessMin);
  return found && `words differ: ${textOf(found.a)} / ${textOf(found.b)}`;
}

function difference(alignment: Alignment, similarity: number): string {
  const substitution = substitutionIn(alignment);
  if (substitution !== undefined) return substitution;
  const [ofA, ofB] = [unmatched(alignment.a), unmatched(alignment.b)];
  if (ofA.length > 0 && ofB.length > 0) return `words differ: ${textOf(ofA)} / ${textOf(ofB)}`;
  if (ofA.length + ofB.length > 0) return `in one question only: ${textOf([...ofA, ...ofB])}`;
  return `similarity ${shown(similarity)} is too low`;
}

function agreement({ a, b }: Alignment, similarity: number): string {
  const reworded = a.question.words.flatMap((word, i) => {
    const kind = a.kinds[i];
    if (kind === undefined || kind === 'same' || word.kind !== 'content') return [];
    return [`${word.text} = ${b.question.words[a.partners[i]!]!.text}`];
  });
  const said = `similarity ${shown(similarity)}`;
  return reworded.length === 0 ? said : `${said}; ${reworded.slice(0, wordsShownMax).join(', ')}`;
}

/** The words that tell most first. */
function textOf(words: readonly Word[]): string {
  const chosen = [...words].sort((x, y) => y.weight - x.weight).slice(0, wordsShownMax);
  return words.filter((word) => chosen.includes(word)).map((word) => word.text).join(' ');
}

function shown(similarity: number): string {
  return similarity.toFixed(2);
}
