// Our WordPiece beside the library's, on words of all kinds; and how often it asks the vocabulary.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Tokenizer } from '@huggingface/tokenizers';
import { wordPieceEncoder, type WordPieceModel } from '../../native-workers/word-piece.ts';
import { embeddedModelDirectory } from '../support/fixtures.ts';

type LibraryModel = WordPieceModel & { encode(words: readonly string[]): string[] };

const file = JSON.parse(readFileSync(path.join(embeddedModelDirectory, 'tokenizer.json'), 'utf8')) as object;
const { model } = new Tokenizer(file, {}) as unknown as { model: LibraryModel };

let state = 11;
const random = (limit: number) => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % limit;

/** Letters that make known words, letters that make none, and letters of two units. */
const letters = [...'etaoinshrdlu', 'q', 'x', 'z', '机', '器', 'é', '\u{1F600}', '\u{20000}', 'σ'];
const wordOf = (length: number) => Array.from({ length }, () => letters[random(random(4) === 0 ? letters.length : 14)]).join('');

test('gives the tokens that the library gives', () => {
  const known = [...model.tokens_to_ids.keys()].filter((_, i) => i % 7 === 0);
  const made = Array.from({ length: 5000 }, (_, i) => wordOf(i % 120));
  const long = ['a'.repeat(100), 'a'.repeat(101), '\u{20000}'.repeat(100), '\u{20000}'.repeat(101)];
  const words = [...known, ...made, ...long, ''];
  assert.deepEqual(wordPieceEncoder(model)(words), model.encode(words));
});

test('asks the vocabulary for no more letters than its longest token has', () => {
  let asked = 0;
  const counted = new (class extends Map<string, number> {
    override has(token: string): boolean {
      asked += 1;
      return super.has(token);
    }
  })(['q', '##q', '##qqqqq'].map((token, i) => [token, i]));
  const made = wordPieceEncoder({ tokens_to_ids: counted, unk_token: '[UNK]', max_input_chars_per_word: 100, config: { continuing_subword_prefix: '##' } });
  assert.equal(made(['q'.repeat(100)]).length, 1 + 19 + 4);
  assert.ok(asked <= 100 * '##qqqqq'.length, `${asked} lookups`);
});
