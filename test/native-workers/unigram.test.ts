// Our Unigram beside the library's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tokenizer } from '@huggingface/tokenizers';
import { unigramEncoder, type UnigramModel } from '../../native-workers/unigram.ts';

type LibraryModel = UnigramModel & { encode(texts: readonly string[]): string[] };

function modelOf(...tokens: readonly string[]): LibraryModel {
  const vocab = [['<unk>', 0], ...[...'helowrd\u2581', ...tokens].map((token, i) => [token, -8 + token.length + i / 100])];
  const file = { version: '1.0', added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, model: { type: 'Unigram', unk_id: 0, vocab } };
  return (new Tokenizer(file, {}) as unknown as { model: LibraryModel }).model;
}

const texts = ['\u2581hello\u2581world', 'hello\u2581\u2581held', '\u2581', '\u2581h\u00e9llo\u2581\u{1F600}\u{1F600}rod\u2581', 'word\u2581hell\u2581old'];

for (const more of [[], ['\u2581\u2581'], ['o\u2581w'], ['d\u2581']]) {
  test(`gives the tokens that the library gives, of a vocabulary with ${JSON.stringify(more)}`, () => {
    const model = modelOf('he', 'ell', '\u2581hell', 'old', '\u2581wor', 'ld', ...more);
    for (const text of texts) assert.deepEqual(unigramEncoder(model)([text, text]), model.encode([text, text]));
  });
}

test('looks at a word at a time', () => {
  const model = modelOf('he');
  const seen: string[] = [];
  unigramEncoder({ ...model, vocab: model.vocab, tokenize: (text) => (seen.push(text), [text]) })(['\u2581he\u2581\u2581world', 'l']);
  assert.deepEqual(seen, ['\u2581he', '\u2581', '\u2581world', 'l']);
});
