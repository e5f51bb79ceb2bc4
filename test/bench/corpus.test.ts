// Two bench runs compare only when they use the same texts, and a cache stays out of them only when all differ.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { profiles, textAt, textsFrom, type Profile } from '../../bench/corpus.ts';

const wordsOf = (text: string) => text.split(' ').length;
const bounds: Record<Profile, readonly [number, number]> = { short: [5, 16], mixed: [5, 200], long: [200, 260] };

for (const profile of profiles) {
  test(`${profile} texts are all different and the same every time`, () => {
    const texts = textsFrom(profile, 0, 5000);
    assert.equal(new Set(texts).size, texts.length);
    assert.equal(textAt(profile, 4321), texts[4321]);
  });

  test(`${profile} texts keep to their lengths and reach both ends`, () => {
    const counts = textsFrom(profile, 0, 5000).map(wordsOf);
    const [least, most] = bounds[profile];
    assert.equal(Math.min(...counts), least);
    assert(Math.max(...counts) <= most && Math.max(...counts) > 0.95 * most);
  });

  test(`any stretch of ${profile} texts has nearly the same mean length`, () => {
    const words = (first: number) => textsFrom(profile, first, 200).map(wordsOf);
    const meanWords = (first: number) => words(first).reduce((sum, count) => sum + count, 0) / 200;
    const means = [0, 1234, 50_000, 777_777].map(meanWords);
    assert(Math.max(...means) / Math.min(...means) < 1.05);
  });
}
