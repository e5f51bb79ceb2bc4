// What kind of answer a question wants: a person, a place, a time, a reason, a quantity.
import type { Alignment, Side } from './align.ts';
import { baseForm } from './base-form.ts';
import { areSynonyms } from './lexicon.ts';

/** `how many`, `how tall`: a quantity; `how`: a manner; `whether`: yes or no; `what` may ask for any of them. */
export type QuestionKind = 'who' | 'where' | 'when' | 'why' | 'whether' | 'how' | 'what' | 'which' | `how ${string}`;

/** Kinds that a rewording turns into each other after all. */
const exchangeable: ReadonlySet<string> = new Set([
  'how/which', 'which/who', 'where/which', 'when/which', 'how long/which', 'how many/which',
  'how/whether', 'whether/where', 'how long/when', 'how long/how many', 'how long/how soon', 'how far/how long',
  'how far/how many', 'how many/how often',
  'how early/when', 'how late/when', 'how soon/when', 'how hot/what', 'how many/how much',
]);
const auxiliaries: ReadonlySet<string> = new Set([
  'is', 'are', 'was', 'were', 'do', 'does', 'did', 'can', 'could', 'should', 'must', 'will', 'would', 'am', 'has', 'have', 'may', 'be',
]);
const measures: ReadonlySet<string> = new Set([
  'many', 'much', 'long', 'far', 'often', 'old', 'soon', 'late', 'early', 'tall', 'big', 'large', 'high', 'deep', 'wide', 'heavy',
  'fast', 'quickly', 'hot', 'cold', 'thick', 'strong', 'hard', 'expensive', 'frequently', 'warm', 'small',
]);

export function kindsDiffer({ a, b }: Alignment): string | undefined {
  const [kindA, kindB] = [questionKind(a), questionKind(b)];
  if (kindA === kindB || kindA === 'what' || kindB === 'what') return undefined;
  if (exchangeable.has([kindA, kindB].sort().join('/'))) return undefined;
  if (areSynonyms(baseForm(kindA.slice(4)), baseForm(kindB.slice(4)))) return undefined;
  return `kinds of question differ: ${kindA} / ${kindB}`;
}

/** Of the last sentence that asks. */
function questionKind(side: Side): QuestionKind {
  let found: QuestionKind = 'what';
  let sentence = -1;
  for (const [i, word] of side.question.words.entries()) {
    if (side.extraSentences.has(word.sentence)) continue;
    const begins = side.question.words[i - 1]?.sentence !== word.sentence;
    const kind = kindAt(side, i, begins);
    // The first asking word of a sentence decides; a later sentence overrules.
    if (kind === undefined || word.sentence === sentence) continue;
    [found, sentence] = [kind, word.sentence];
  }
  return found;
}

function kindAt(side: Side, i: number, begins: boolean): QuestionKind | undefined {
  const { words } = side.question;
  const { text } = words[i]!;
  if (text === 'who' || text === 'whom' || text === 'whose') return 'who';
  if (text === 'where' || text === 'why') return text;
  // Inside a sentence it also begins a clause of time: "when I was away".
  if (text === 'when') return begins && auxiliaries.has(words[i + 1]?.text ?? '') ? 'when' : undefined;
  if (text === 'what' || text === 'which') return text;
  if (text === 'how') return measures.has(words[i + 1]?.text ?? '') ? `how ${words[i + 1]!.text}` : 'how';
  return begins && auxiliaries.has(text) && words[i + 1]?.text !== 'you' ? 'whether' : undefined;
}

const modals: readonly (readonly [string, ReadonlySet<string>])[] = [
  ['permission', new Set(['can', 'could', 'may', 'might'])], ['duty', new Set(['must'])], ['advice', new Set(['should', 'ought'])],
];

/** May I, must I, should I: of questions that want a yes or a no. */
export function modalsDiffer({ a, b }: Alignment): string | undefined {
  if (questionKind(a) !== 'whether' || questionKind(b) !== 'whether') return undefined;
  const [ofA, ofB] = [modalOf(a), modalOf(b)];
  return ofA === undefined || ofB === undefined || ofA === ofB ? undefined : `one asks for ${ofA}, one for ${ofB}`;
}

function modalOf(side: Side): string | undefined {
  const { words, asking } = side.question;
  const word = words.find(({ text, sentence }) => asking[sentence] === true && modals.some(([, forms]) => forms.has(text)));
  return modals.find(([, forms]) => forms.has(word?.text ?? ''))?.[0];
}
