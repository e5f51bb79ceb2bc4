// What kind of answer a question wants: a person, a place, a time, a reason, a quantity.
import type { Alignment, Side } from './align.ts';

export type QuestionKind = 'who' | 'where' | 'when' | 'why' | 'how many' | 'how long' | 'how far' | 'how often' | 'how old' | 'whether' | 'how' | 'what';

/** Kinds that no rewording turns into each other. 'what' may ask for any of them. */
const exclusive: ReadonlySet<QuestionKind> = new Set(['who', 'where', 'when', 'why', 'how many', 'how long', 'how far', 'how often', 'how old']);
/** Kinds that a rewording turns into each other after all. */
const exchangeable: ReadonlySet<string> = new Set(['how long/when', 'how long/how many', 'how far/how long', 'how far/how many', 'how many/how often']);
const auxiliaries: ReadonlySet<string> = new Set(['is', 'are', 'was', 'were', 'do', 'does', 'did', 'can', 'could', 'should', 'must', 'will', 'would', 'am', 'has', 'have', 'may']);
const howWith: Readonly<Record<string, QuestionKind>> = {
  many: 'how many', much: 'how many', long: 'how long', far: 'how far', often: 'how often', old: 'how old', soon: 'how long', late: 'when', early: 'when',
};

export function kindsDiffer({ a, b }: Alignment): string | undefined {
  const [kindA, kindB] = [questionKind(a), questionKind(b)];
  if (kindA === kindB || !exclusive.has(kindA) && !exclusive.has(kindB)) return undefined;
  const both = exclusive.has(kindA) && exclusive.has(kindB);
  const whether = (kindA === 'whether' || kindB === 'whether') && kindA !== 'what' && kindB !== 'what';
  if (!both && !whether || exchangeable.has([kindA, kindB].sort().join('/'))) return undefined;
  return `kinds of question differ: ${kindA} / ${kindB}`;
}

/** Of the last sentence that asks. */
export function questionKind(side: Side): QuestionKind {
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
  if (text === 'what' || text === 'which') return 'what';
  if (text === 'how') return howWith[words[i + 1]?.text ?? ''] ?? 'how';
  return begins && auxiliaries.has(text) && words[i + 1]?.text !== 'you' ? 'whether' : undefined;
}
