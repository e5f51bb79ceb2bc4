// The verdict as a whole: what it says of pairs nobody fitted it on, of hostile texts, and in which words.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defaultMode, judge, judgeOf, modes, thresholds } from '../../../../src/cache/semantic/verdict/judge.ts';
import { heldOutFile, measurePairs, openEmbedder, readPairs } from '../../../../bench/verdict/pairs.ts';

const verdictOf = (question: string, cached: string, similarity = 0.95) => judge({ question, cached, similarity });

describe('one answer for', () => {
  const pairs: readonly (readonly [string, string, number])[] = [
    ['How do I mount a bike rack?', 'How do I mount a bike rack?', 1],
    ['In Oslo, where can I rent skis?', 'Where can I rent skis in Oslo?', 0.98],
    ['how do i clena my keybord', 'How do I clean my keyboard?', 0.75],
    ['Where can I purchase a lamp?', 'Where can I buy a lamp?', 0.95],
    ['Hello, could you tell me where the spare wheel is stored please?', 'Where is the spare wheel stored?', 0.9],
  ];
  for (const [question, cached, similarity] of pairs) {
    test(`"${question}" and "${cached}"`, () => {
      const verdict = verdictOf(question, cached, similarity);
      assert.equal(verdict.same, true, verdict.reason);
      assert.ok(verdict.score >= thresholds.verified && verdict.score <= 1);
    });
  }
});

describe('no answer for another question, with the reason', () => {
  const pairs: readonly (readonly [string, string, RegExp])[] = [
    ['Boil the pasta for 5 minutes?', 'Boil the pasta for 15 minutes?', /^numbers differ: (5 \/ 15|15 \/ 5)$/],
    ['Is the door not locked?', 'Is the door locked?', /^negation in one question only: not$/],
    ['Ferry from Bari to Split', 'Ferry from Split to Bari', /reversed/],
    ['How do I enable logging?', 'How do I disable logging?', /^opposites: /],
    ['How long is a whale in meters?', 'How long is a whale in yards?', /^unit of length differs: /],
    ['How old is Tina Turner?', 'How old is Ike Turner?', /^names differ: /],
    ['Who painted this wall?', 'When was this wall painted?', /^kinds of question differ: /],
    ['How do I boil carrots?', 'How do I boil beetroot?', /^words differ: .*(carrots \/ beetroot|beetroot \/ carrots)/],
  ];
  for (const [question, cached, reason] of pairs) {
    test(`"${question}" and "${cached}"`, () => {
      const verdict = verdictOf(question, cached);
      assert.equal(verdict.same, false);
      assert.match(verdict.reason, reason);
    });
  }
});

test('the verdict is the same whichever question comes first', () => {
  for (const { a, b } of readPairs(heldOutFile)) assert.deepEqual(verdictOf(a, b, 0.8), verdictOf(b, a, 0.8), `${a} | ${b}`);
});

describe('hostile texts', () => {
  const million = 1_000_000;
  const texts: Readonly<Record<string, string>> = {
    'a million letters': 'a'.repeat(million),
    'a million words': 'word '.repeat(million / 5),
    'a million digits': '1'.repeat(million),
    'a million commas': ','.repeat(million),
    'a million marks on a letter': `e${'\u0301'.repeat(million)}`,
    'only emoji': '😀😀👩‍👩‍👧',
    'NUL': 'what\0is\0this\0',
    'half a surrogate': 'what is \ud83d this',
    'keys of every object': '__proto__ constructor toString hasOwnProperty',
    'nothing': '',
  };
  for (const [name, text] of Object.entries(texts)) {
    test(`${name}: refused beside another question, accepted beside itself`, () => {
      for (const mode of ['verified', 'guarded'] as const) {
        assert.equal(judgeOf(mode)({ question: text, cached: 'How do I reset my router?', similarity: 1 }).same, false);
        assert.equal(judgeOf(mode)({ question: text, cached: text, similarity: 1 }).same, true);
      }
    });
  }

  test('other emoji are another question', () => assert.equal(verdictOf('😀', '😢', 0.99).same, false));

  test('a similarity that is no number is none', () => {
    for (const mode of modes) {
      const verdict = judgeOf(mode)({ question: 'How do I bake bread?', cached: 'How do I bake good bread?', similarity: Number.NaN });
      assert.deepEqual([verdict.same, verdict.score], [false, 0]);
    }
  });
});

describe('other languages', () => {
  const pairs = [
    ['Wie kann ich mein Konto mit einer Karte aufladen?', 'Wie kann ich mein Konto ohne eine Karte aufladen?'],
    ['Was ist die größte Stadt der Schweiz?', 'Was ist die kleinste Stadt der Schweiz?'],
    ['Comment aller de Lyon à Paris en train ?', 'Comment aller de Paris à Lyon en train ?'],
    ['¿Puedo comer antes de nadar?', '¿Puedo comer después de nadar?'],
    ['東京の天気はどうですか', '大阪の天気はどうですか'],
    ['Как включить звук?', 'Как выключить звук?'],
  ] as const;
  for (const [question, cached] of pairs) {
    test(`"${question}" is not "${cached}"`, () => assert.equal(verdictOf(question, cached, 0.97).same, false));
  }

  test('the same words in other letters are the same question', () => {
    assert.equal(verdictOf('wie kann ich mein konto aufladen', 'Wie kann ich mein Konto aufladen?', 0.99).same, true);
  });
});

describe('modes', () => {
  const negated = { question: 'Can I swim here?', cached: 'Can I not swim here?', similarity: 0.9 };

  test('the bare threshold sees similarity alone', () => {
    assert.equal(judgeOf('cosine')(negated).same, true);
    assert.equal(judgeOf('cosine')({ ...negated, similarity: 0.84 }).same, false);
  });

  test('the guard refuses whatever the similarity', () => {
    assert.equal(judgeOf('guarded')({ ...negated, similarity: 1 }).same, false);
    assert.equal(judgeOf('guarded')({ question: 'Can I swim here?', cached: 'can i swim here', similarity: 0.9 }).same, true);
  });

  test('a threshold may be stricter', () => {
    const input = { question: 'Where can I purchase a lamp?', cached: 'Where can I buy a lamp?', similarity: 0.95 };
    assert.equal(judgeOf(defaultMode)(input).same, true);
    assert.equal(judgeOf(defaultMode, 0.9999)(input).same, false);
  });
});

test('the default holds on questions that neither rules nor weights were made from', async (context) => {
  const embedder = await openEmbedder();
  const { pairs } = await measurePairs(readPairs(heldOutFile), embedder);
  await embedder.close();
  const shareOf = (same: boolean) => {
    const chosen = pairs.filter((pair) => pair.same === same);
    return chosen.filter(({ a, b, similarity }) => verdictOf(a, b, similarity).same).length / chosen.length;
  };
  const [hits, falseHits] = [shareOf(true), shareOf(false)];
  context.diagnostic(`${(100 * hits).toFixed(1)} % hits, ${(100 * falseHits).toFixed(1)} % false hits`);
  assert.ok(hits >= 0.3);
  assert.ok(falseHits <= 0.05);
});
