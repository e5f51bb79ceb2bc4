// A word's base form by rule: what is left of plural, tense and adverb. Both sides go through the same rules, so
// the form need not be a word.
import { irregularForms } from './lexicon/abbreviations.ts';

const irregular: ReadonlyMap<string, string> = new Map(
  irregularForms.trim().split(/\s+/).map((pair) => pair.split('=') as [string, string]),
);
const vowel = /[aeiouy]/;
const derivations: ReadonlySet<string> = new Set(
  ['', 'ation', 'ration', 'ition', 'tion', 'ion', 'ment', 'er', 'or', 'al', 'ial', 'ical', 'ic', 'ance', 'ence', 'y', 'ity', 'ness', 'ing',
    'ed', 'd', 's', 'es', 'ive', 'able', 'ible', 'ful', 'ly', 'e', 'an', 'n', 'ian', 'ish', 'ist', 'age', 'ure'],
);
/** Shorter beginnings are shared by too many words that are not related. */
const sharedLettersMin = 5;
const sharedShareMin = 0.55;

/** `word` in lower case. */
export function baseForm(word: string): string {
  const known = irregular.get(word);
  return known === undefined ? withoutEnding(word) : withoutEnding(known);
}

function withoutEnding(word: string): string {
  let base = word;
  if (base.length > 3 && base.endsWith('ies')) base = base.slice(0, -2);
  else if (base.length > 4 && /(?:[sxz]|ch|sh|o)es$/.test(base)) base = base.slice(0, -2);
  else if (base.length > 3 && /[^sui]s$/.test(base)) base = base.slice(0, -1);
  if (base.length > 4 && base.endsWith('ing') && vowel.test(base.slice(0, -3))) base = undoubled(base.slice(0, -3));
  else if (base.length > 4 && base.endsWith('ied')) base = base.slice(0, -2);
  else if (base.length > 3 && base.endsWith('ed') && vowel.test(base.slice(0, -2))) base = undoubled(base.slice(0, -2));
  else if (base.length > 5 && base.endsWith('ly')) base = base.slice(0, -2);
  if (base.length > 3 && base.endsWith('e')) return base.slice(0, -1);
  return base.length > 3 && base.endsWith('y') ? `${base.slice(0, -1)}i` : base;
}

function undoubled(stem: string): string {
  return /([bdgmnprt])\1$/.test(stem) ? stem.slice(0, -1) : stem;
}

/** Whether both come of one word by endings: `resign` and `resignation`. */
export function areDerived(a: string, b: string): boolean {
  const shortest = Math.min(a.length, b.length);
  let shared = 0;
  while (shared < shortest && a[shared] === b[shared]) shared++;
  if (shared < sharedLettersMin || shared < shortest && shared < sharedShareMin * Math.max(a.length, b.length)) return false;
  return derivations.has(a.slice(shared)) && derivations.has(b.slice(shared));
}
