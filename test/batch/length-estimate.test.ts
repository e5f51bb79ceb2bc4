import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LengthEstimate } from '../../src/batch/length-estimate.ts';

function guess(estimate: LengthEstimate, text: string): number {
  return estimate.tokens(text, estimate.measure(text));
}

function teach(estimate: LengthEstimate, texts: readonly string[], tokensOf: (text: string) => number): void {
  for (let i = 0; i < 300; i++) {
    const batch = texts.map((_, j) => texts[(i * 7 + j) % texts.length]!).slice(0, 8);
    estimate.learn(batch.map((text) => estimate.measure(text)), Int32Array.from(batch, tokensOf));
  }
}

test('English is guessed well from the start', () => {
  const estimate = new LengthEstimate(256);
  // 11 words and a mark, 14 tokens with the special ones.
  const tokens = guess(estimate, 'The quick brown fox jumps over the lazy dog every single day.');
  assert.ok(tokens >= 13 && tokens <= 19, String(tokens));
});

test('no text is guessed beyond the model, or at nothing', () => {
  const estimate = new LengthEstimate(256);
  assert.equal(guess(estimate, 'x'.repeat(1_000_000)), 256);
  assert.ok(guess(estimate, '') >= 1);
});

test('token ids need no guess', () => {
  const estimate = new LengthEstimate(256);
  const ids = new Int32Array(30);
  assert.equal(estimate.tokens(ids, estimate.measure(ids)), 32);
});

test('the guess moves to a tokenizer of words, whatever their length', () => {
  const estimate = new LengthEstimate(256);
  const texts = ['a b c d e', 'extraordinarily complicated terminology', 'of to in', 'one internationalisation two', 'short words and longer ones'];
  const tokensOf = (text: string) => text.split(' ').length + 2;
  teach(estimate, texts, tokensOf);
  for (const text of texts) assert.ok(Math.abs(guess(estimate, text) - tokensOf(text)) <= 1, text);
});

test('the guess moves to a language without spaces', () => {
  const estimate = new LengthEstimate(256);
  const texts = ['漢字', '漢字漢字漢字', '漢字'.repeat(20), '漢字'.repeat(40)];
  teach(estimate, texts, (text) => text.length + 2);
  for (const text of texts) assert.ok(Math.abs(guess(estimate, text) - text.length - 2) <= 2, text);
});

test('texts that are all alike do not break it', () => {
  const estimate = new LengthEstimate(256);
  teach(estimate, ['hello there'], () => 4);
  assert.ok(Math.abs(guess(estimate, 'hello there') - 4) <= 1);
  assert.ok(Number.isFinite(guess(estimate, 'and something else entirely')));
});

test('a text that was cut teaches nothing', () => {
  const estimate = new LengthEstimate(16);
  const before = guess(estimate, 'five words are in here');
  teach(estimate, ['word '.repeat(100)], () => 5000);
  assert.equal(guess(estimate, 'five words are in here'), before);
});

for (const [what, text, tokens] of [
  ['are all cut', 'word '.repeat(100), 5000],
  ['are token ids', new Int32Array(30), 32],
] as const) {
  test(`inputs that ${what} leave a guess, however many come`, () => {
    const estimate = new LengthEstimate(256);
    for (let i = 0; i < 50_000; i++) estimate.learn([estimate.measure(text)], Int32Array.of(tokens));
    const guessed = guess(estimate, 'The quick brown fox jumps over the lazy dog every single day.');
    assert.ok(guessed >= 3 && guessed <= 256, String(guessed));
  });
}
