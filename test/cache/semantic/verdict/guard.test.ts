// Each rule by pairs that it must refuse and pairs that it must not.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare } from '../../../../src/cache/semantic/verdict/align.ts';
import { guardReason } from '../../../../src/cache/semantic/verdict/guard.ts';

const reason = (a: string, b: string) => guardReason(compare(a, b));

describe('refuses', () => {
  const pairs: readonly (readonly [string, string, RegExp])[] = [
    ['What is 3 times 4?', 'What is 3 times 5?', /^numbers differ/],
    ['Is 5 more than 8?', 'Is 8 more than 5?', /^numbers in another order/],
    ['Tickets for the show', 'Tickets for 6 for the show', /^number in one question only: 6/],
    ['Why does it not start?', 'Why does it start?', /^negation/],
    ['Dishes with garlic', 'Dishes without garlic', /^negation/],
    ['How do I lock the car?', 'How do I unlock the car?', /^opposites/],
    ['How do I make it warmer?', 'How do I make it cooler?', /^opposites/],
    ['What to do before a flight?', 'What to do after a flight?', /before|after/],
    ['How heavy is it in grams?', 'How heavy is it in ounces?', /^unit of weight differs/],
    ['Is it open?', 'Is it open on Sunday?', /^weekday in one question only/],
    ['Sales report of last month', 'Sales report of the month', /^time in one question only: last/],
    ['Can members vote?', 'Can only members vote?', /^in one question only: only/],
    ['Who fixed the roof?', 'How do I fix the roof?', /^kinds of question/],
    ['Should I call them?', 'Can I call them?', /^one asks for/],
    ['How tall is the tower?', 'How old is the tower?', /^kinds of question|^opposites/],
    ['Is tea stronger than cocoa?', 'Is cocoa stronger than tea?', /reversed/],
    ['Send it from Word to Excel', 'Send it from Excel to Word', /reversed/],
    ['Can a tenant evict a landlord?', 'Can a landlord evict a tenant?', /reversed/],
    ['Who did I block?', 'Who did block me? Who blocked me?', /reversed/],
    ['Where is Lagos?', 'Where is Nairobi?', /^names differ/],
    ['How do I vote?', 'How do I vote in Ohio?', /^name in one question only/],
    ['Can I drive?', "I'm half blind. Can I drive?", /^condition in one question only/],
  ];
  for (const [a, b, expected] of pairs) test(`"${a}" / "${b}"`, () => assert.match(reason(a, b) ?? 'nothing', expected));
});

describe('lets through', () => {
  const pairs: readonly (readonly [string, string])[] = [
    ['A holiday of two weeks', 'A 14-day holiday'],
    ['What does it cost to rent a car in May?', 'In May, what does it cost to rent a car?'],
    ['How is soap made?', 'How do they make soap?'],
    ['What is the difference between jam and jelly?', 'How do jelly and jam differ?'],
    ['Any good pasta recipe?', 'Any good recipe for pasta?'],
    ['Before baking a cake, should I sift the flour?', 'Should I sift the flour before baking a cake?'],
    ['How long is the flight to KTM?', 'How long does the flight to KTM last?'],
    ['Why do geese fly south?', 'What makes geese fly south?'],
    ['When does the game start?', 'At what time does the game start?'],
    ['Setup of 2FA', 'Setup of two-factor authentication'],
  ];
  for (const [a, b] of pairs) test(`"${a}" / "${b}"`, () => assert.equal(reason(a, b), undefined));
});
