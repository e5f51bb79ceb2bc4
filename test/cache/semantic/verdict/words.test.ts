import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readQuestion } from '../../../../src/cache/semantic/verdict/words.ts';

const textsOf = (text: string) => readQuestion(text).words.map((word) => word.text);
const wordOf = (text: string, word: string) => readQuestion(text).words.find((found) => found.text === word)!;

test('short forms are written out', () => {
  assert.deepEqual(textsOf("What's new? I can't log in w/ Safari"), ['what', 'is', 'new', 'i', 'can', 'not', 'login', 'with', 'safari']);
});

test('quantities fall into number and unit, codes stay whole', () => {
  assert.deepEqual(textsOf('$4,000 is 15% of 250ml, E03'), ['$', '4000', 'is', '15', 'percent', 'of', '250', 'ml', 'e03']);
  assert.deepEqual(textsOf('the 16th of two'), ['the', '16', 'of', '2']);
});

test('periods compare in their smaller unit', () => {
  assert.deepEqual(textsOf('two weeks'), textsOf('14 days').map((text) => text.replace('days', 'day')));
});

test('capitals tell names only where the other words are small', () => {
  assert.equal(wordOf('How far is Lima?', 'lima').capitals, 'name');
  assert.equal(wordOf('how far is lima?', 'lima').capitals, 'none');
  assert.equal(wordOf('HOW FAR IS LIMA FROM HERE', 'lima').capitals, 'none');
  assert.equal(wordOf('What does the GPU do there?', 'gpu').capitals, 'acronym');
});

test('sentences that ask are told from those that tell', () => {
  assert.deepEqual(readQuestion('My cat hides. Where should I look?').asking, [false, true]);
  assert.deepEqual(readQuestion('Reasons to move').asking, [true]);
});

test('common words weigh less than rare ones, words of grammar nothing', () => {
  const [the, time, quark] = ['the', 'city', 'quark'].map((word) => wordOf('the city quark', word).weight) as [number, number, number];
  assert.equal(the, 0);
  assert.ok(time > 0 && time < quark);
});

test('a mistyped word of grammar is one', () => {
  assert.deepEqual(textsOf('waht is teh time'), ['what', 'is', 'the', 'time']);
});

test('only the beginning of long texts is read, and that is said', () => {
  const long = readQuestion('lamp '.repeat(5000));
  assert.equal(long.whole, false);
  assert.ok(long.words.length <= 400);
  assert.equal(readQuestion('lamp').whole, true);
});

test('other languages are known as such', () => {
  assert.equal(readQuestion('How do I get to the station?').english, true);
  for (const text of ['Wie komme ich zum Bahnhof und zurück?', 'Где находится вокзал?', '駅はどこですか', '']) {
    assert.equal(readQuestion(text).english, false, text);
  }
});
