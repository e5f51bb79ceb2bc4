import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { align, compare, unmatched } from '../../../../src/cache/semantic/verdict/align.ts';
import { readQuestion } from '../../../../src/cache/semantic/verdict/words.ts';

const alignment = (a: string, b: string) => align(readQuestion(a), readQuestion(b));
/** What stays over on both sides. */
const over = (a: string, b: string) => {
  const found = alignment(a, b);
  return [unmatched(found.a), unmatched(found.b)].map((words) => words.map((word) => word.text));
};

describe('words find each other', () => {
  const pairs: Readonly<Record<string, readonly [string, string]>> = {
    'by another ending': ['painting fences', 'painted fence'],
    'by derivation': ['resignation letter', 'resign letters'],
    'as synonyms': ['purchase a sofa', 'buy a couch'],
    'in spite of typing mistakes': ['expresso machne', 'espresso machine'],
    'by initials': ['MRI scan', 'magnetic resonance imaging scan'],
    'by initials in the plural': ['two ATMs', 'two automated teller machines'],
    'by a known short form': ['avg temp', 'average temperature'],
    'by a short form without vowels': ['my pymt', 'my payment'],
  };
  for (const [how, [a, b]] of Object.entries(pairs)) test(how, () => assert.deepEqual(over(a, b), [[], []]));
});

describe('words stay apart', () => {
  const pairs: Readonly<Record<string, readonly [string, string]>> = {
    'that exist, however alike they are spelt': ['the desert', 'the dessert'],
    'that are opposites': ['tighten it', 'loosen it'],
    'of one closed class': ['on tuesday', 'on thursday'],
    'with one letter for another in a clean text': ['nitrate levels', 'nitrite levels'],
    'that are two unknown names': ['ask Vexara', 'ask Vexora'],
  };
  for (const [which, [a, b]] of Object.entries(pairs)) {
    test(which, () => assert.deepEqual(over(a, b).map((words) => words.length), [1, 1]));
  }
});

test('a sentence that only tells is beside the question', () => {
  const long = 'Yesterday a parcel stood in the rain for hours. How do I dry a book?';
  assert.deepEqual(over('How do I dry a book?', long), [[], []]);
  assert.deepEqual([...alignment('How do I dry a book?', long).b.extraSentences], [0]);
});

test('what both tell of their own is not', () => {
  const found = over('I own a boat. What do I pay?', 'I own a horse. What do I pay?');
  assert.deepEqual(found, [['boat'], ['horse']]);
});

test('two questions compare the same in either order', () => {
  assert.deepEqual(compare('one lamp', 'two chairs'), compare('two chairs', 'one lamp'));
});
