// The bound on wrong answers, by simulation: entries whose true curves the learner does not know.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  decide, emptyThreshold, exploreProbability, learningOf, observationsMax, observe,
} from '../../../src/cache/semantic/learned-threshold.ts';
import type { ThresholdState } from '../../../src/cache/semantic/learned-threshold.ts';
import { randoms } from './support.ts';

type Truth = (similarity: number) => number;

/** The curves of entries: P(the answer is right | similarity). */
const truths: Readonly<Record<string, (random: () => number) => Truth>> = {
  'logistic curves, each entry its own': (random) => {
    const [middle, slope] = [0.6 + 0.35 * random(), 10 + 50 * random()];
    return (similarity) => 1 / (1 + Math.exp(-slope * (similarity - middle)));
  },
  'sharp steps': (random) => {
    const step = 0.6 + 0.38 * random();
    return (similarity) => (similarity >= step ? 1 : 0);
  },
  'entries that are right at random, whatever the similarity': () => () => 0.7,
  'entries that are always wrong': () => () => 0,
};

const entries = 60;
const requests = 80;

/** Shares of all requests. */
function simulate(truthOf: (random: () => number) => Truth, errorMax: number, seed: number): { wrong: number; answered: number } {
  const random = randoms(seed);
  let [wrong, answered] = [0, 0];
  for (let entry = 0; entry < entries; entry++) {
    const truth = truthOf(random);
    let state: ThresholdState = emptyThreshold;
    for (let request = 0; request < requests; request++) {
      const similarity = 0.55 + 0.45 * random();
      const correct = random() < truth(similarity);
      if (decide(state, similarity, errorMax, random()) === 'explore') state = observe(state, similarity, correct);
      else {
        answered++;
        if (!correct) wrong++;
      }
    }
  }
  return { wrong: wrong / (entries * requests), answered: answered / (entries * requests) };
}

describe('the share of wrong answers', () => {
  for (const [name, truthOf] of Object.entries(truths)) {
    test(`stays below the bound for ${name}`, (context) => {
      for (const errorMax of [0.01, 0.05]) {
        const { wrong, answered } = simulate(truthOf, errorMax, 20);
        context.diagnostic(`bound ${errorMax}: ${(100 * wrong).toFixed(2)} % wrong, ${(100 * answered).toFixed(1)} % answered`);
        assert.ok(wrong <= errorMax, `${wrong} of all answers were wrong`);
      }
    });
  }

  test('is no reason to answer nothing: sure entries are used', () => {
    const { answered } = simulate(() => () => 1, 0.05, 7);
    assert.ok(answered > 0.3, `${answered} of the requests were answered`);
  });
});

describe('an entry', () => {
  const seen = (similarities: readonly number[], correct: boolean, from = emptyThreshold) =>
    similarities.reduce((state, similarity) => observe(state, similarity, correct), from);

  test('that has seen nothing always asks', () => {
    assert.equal(exploreProbability(emptyThreshold, 1, 0.05), 1);
    assert.equal(decide(emptyThreshold, 1, 0.05, 0.999), 'explore');
  });

  test('asks less the more similar the question is', () => {
    const state = seen([0.6, 0.65, 0.7, 0.72], false, seen([0.9, 0.92, 0.95, 0.97, 0.99, 0.93, 0.96], true));
    const asked = [0.5, 0.7, 0.8, 0.9, 1].map((similarity) => exploreProbability(state, similarity, 0.05));
    assert.deepEqual(asked, [...asked].sort((a, b) => b - a));
    assert.ok(asked[0]! > asked[4]!);
  });

  test('that was wrong once asks more', () => {
    const right = seen([0.8, 0.85, 0.9, 0.95, 0.9, 0.85], true);
    const wrong = observe(right, 0.92, false);
    assert.ok(exploreProbability(wrong, 0.9, 0.05) > exploreProbability(right, 0.9, 0.05));
  });

  test('asks more under a lower bound', () => {
    const state = seen([0.8, 0.85, 0.9, 0.95], true);
    assert.ok(exploreProbability(state, 0.9, 0.01) > exploreProbability(state, 0.9, 0.1));
  });

  test('survives JSON, forgets the oldest and refuses what is no similarity', () => {
    const state = seen(Array.from({ length: observationsMax + 5 }, (_, i) => i / 100), true);
    assert.equal(state.observations.length, observationsMax);
    assert.equal(state.observations[0]!.similarity, 0.05);
    assert.deepEqual(JSON.parse(JSON.stringify(state)), state);
    for (const wrong of [Number.NaN, -0.1, 1.1, Infinity]) assert.throws(() => observe(state, wrong, true), RangeError);
    assert.equal(exploreProbability(state, Number.NaN, 0.05), 1);
  });
});

describe('learning beside a verdict', () => {
  const learning = learningOf(0.02, () => 0.001);
  const learnt = (...seen: (readonly [number, boolean])[]) =>
    seen.reduce<unknown>((state, [similarity, correct]) => learning.observe(state, similarity, correct), learning.start());

  test('trusts the verdict until it was wrong', () => {
    assert.equal(learning.decide(learning.start(), 0.7), 'exploit');
    assert.equal(learning.decide(learnt([0.8, true]), 0.7), 'exploit');
  });

  test('asks again where it was wrong', () => {
    const state = learnt([0.9, true], [0.8, false]);
    assert.equal(learning.decide(state, 0.75), 'explore');
    assert.equal(learning.decide(JSON.parse(JSON.stringify(state)), 0.75), 'explore');
  });

  test('takes what is no state for none, and a cosine past 1 for 1', () => {
    for (const broken of [undefined, null, 7, {}, { observations: 'x' }, { observations: [{ similarity: 'x' }] }, { observations: [null] }]) {
      assert.equal(learning.decide(broken, 0.9), 'exploit');
    }
    assert.deepEqual(learning.observe(undefined, 1.0000001, true), { observations: [{ similarity: 1, correct: true }] });
  });
});
