import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { readManifest } from '../../src/registry/manifest.ts';
import { ServerError } from '../../src/errors.ts';
import { EmbeddingTokenizer } from '../../native-workers/tokenizer.ts';
import type { TokenizerSettings } from '../../native-workers/tokenizer.ts';
import { miniLmDirectory, miniLmReferenceFile, skipUnless } from '../support/fixtures.ts';
import { special, temporaryFolder, vocabulary, writeTokenizer } from './tiny-model.ts';

const folder = temporaryFolder();
const right = { prompt: '', truncation: 'right' } as const;
const left = { prompt: '', truncation: 'left' } as const;

/** `file` replaces parts of tokenizer.json. */
function tokenizerOf(settings: Partial<TokenizerSettings> = {}, file: Readonly<Record<string, unknown>> = {}) {
  return new EmbeddingTokenizer({
    tokenizerFile: writeTokenizer(folder, file),
    tokenizerConfigFile: undefined,
    inputTokensMax: 6,
    padTokenId: special.pad,
    lowerCase: false,
    includePrompt: true,
    ...settings,
  });
}

const id = (word: (typeof vocabulary)[number]) => vocabulary.indexOf(word);
const ids = (...words: (typeof vocabulary)[number][]) => words.map(id);
const framed = (...words: (typeof vocabulary)[number][]) => ids('[CLS]', ...words, '[SEP]');

test('a word of more tokens than a stack holds is counted by a Unigram tokenizer, too', () => {
  const vocab = [...['[PAD]', '[UNK]', '[CLS]', '[SEP]'].map((token) => [token, 0]), ['\u2581', -2], ['a', -1]];
  const tokenizer = tokenizerOf({}, { normalizer: null, pre_tokenizer: { type: 'Metaspace' }, model: { type: 'Unigram', unk_id: 1, vocab } });
  const { ids: kept, tokensGiven } = tokenizer.encodeText('a'.repeat(300_000), right);
  assert.deepEqual([...kept], [special.cls, 4, 5, 5, 5, special.sep]);
  assert.equal(tokensGiven, 300_003);
});

describe('a text', () => {
  test('gets its special tokens, and neither the truncation nor the padding of tokenizer.json', () => {
    const { ids: kept, tokensGiven } = tokenizerOf().encodeText('one two threes', right);
    assert.deepEqual([...kept], framed('one', 'two', 'three', '##s'));
    assert.equal(tokensGiven, 6);
  });

  test('is cut at the wanted end, special tokens kept and all tokens counted', () => {
    const text = 'one two three four five';
    const atRight = tokenizerOf().encodeText(text, right);
    assert.deepEqual([...atRight.ids], framed('one', 'two', 'three', 'four'));
    const atLeft = tokenizerOf().encodeText(text, left);
    assert.deepEqual([...atLeft.ids], framed('two', 'three', 'four', 'five'));
    assert.deepEqual([atRight.tokensGiven, atLeft.tokensGiven], [7, 7]);
  });

  test('may be empty, or white space as Python knows it', () => {
    for (const text of ['', ' \n\t ', '\u001c\u0085\u3000']) {
      assert.deepEqual([...tokenizerOf().encodeText(text, right).ids], framed());
    }
  });

  test('may hold special tokens, which count as such', () => {
    assert.deepEqual([...tokenizerOf().encodeText('one [SEP] two', right).ids], framed('one', '[SEP]', 'two'));
  });

  test('may hold what UTF-8 cannot: lone surrogates are the replacement character', () => {
    const tokenizer = tokenizerOf();
    for (const text of ['one \ud800 two', '\udc00', 'one\0two', '\ud83d\ude00\ud83d']) {
      const wellFormed = Buffer.from(text, 'utf8').toString('utf8');
      assert.deepEqual(tokenizer.encodeText(text, right), tokenizer.encodeText(wellFormed, right));
    }
  });

  test('is lowered before the tokenizer where the model says so', () => {
    assert.deepEqual([...tokenizerOf({ lowerCase: true }).encodeText('ONE Two', right).ids], framed('one', 'two'));
    assert.deepEqual([...tokenizerOf().encodeText('ONE Two', right).ids], framed('[UNK]', '[UNK]'));
  });

  test('lowers a capital sigma by itself, as the Rust tokenizer does', () => {
    const bert = { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true };
    const sequence = { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Lowercase' }] };
    for (const normalizer of [bert, sequence]) {
      assert.deepEqual([...tokenizerOf({}, { normalizer }).encodeText('ΣΣ', right).ids], framed('σ', '##σ'));
    }
  });

  test('is split at ideographs outside the basic plane', () => {
    assert.deepEqual([...tokenizerOf().encodeText('𠀀𠀁', right).ids], framed('[UNK]', '[UNK]'));
  });

  test('without any token is one padding token', () => {
    const { ids: kept, tokensGiven } = tokenizerOf({}, { post_processor: null }).encodeText('', right);
    assert.deepEqual([[...kept], tokensGiven], [[special.pad], 1]);
  });
});

describe('a prompt', () => {
  const options = { prompt: 'query: ', truncation: 'right' } as const;

  test('is put before the text and pooled', () => {
    const { ids: kept, pooledFrom } = tokenizerOf().encodeText('one', options);
    assert.deepEqual([...kept], framed('query', ':', 'one'));
    assert.equal(pooledFrom, 0);
  });

  test('is left out of pooling with the token before it where the model says so', () => {
    const tokenizer = tokenizerOf({ includePrompt: false });
    assert.equal(tokenizer.encodeText('one', options).pooledFrom, 3);
    assert.equal(tokenizer.encodeText('one', { ...options, prompt: 'one ' }).pooledFrom, 2);
    assert.equal(tokenizer.encodeText('one', right).pooledFrom, 0);
  });

  test('that is cut off at the left is left out by what remains of it', () => {
    const tokenizer = tokenizerOf({ includePrompt: false });
    assert.equal(tokenizer.encodeText('one two three', { ...options, truncation: 'left' }).pooledFrom, 2);
    assert.equal(tokenizer.encodeText('one two three four five', { ...options, truncation: 'left' }).pooledFrom, 1);
  });
});

describe('token ids from a client', () => {
  const encode = (given: number[], options: typeof right | typeof left = right) => {
    return [...tokenizerOf().encodeIds(Int32Array.from(given), options).ids];
  };

  test('get their special tokens once', () => {
    assert.deepEqual(encode(ids('one', 'two')), framed('one', 'two'));
    assert.deepEqual(encode(framed('one', 'two')), framed('one', 'two'));
    assert.deepEqual(encode(ids('[CLS]', 'one', 'two')), framed('one', 'two'));
    assert.deepEqual(encode(ids('one', 'two', '[SEP]')), framed('one', 'two'));
    assert.deepEqual(encode([]), framed());
    assert.deepEqual(encode(ids('[CLS]')), framed());
    assert.deepEqual(encode(ids('[SEP]')), framed());
    assert.deepEqual(encode(framed()), framed());
  });

  test('are cut like a text', () => {
    const given = Int32Array.from(framed('one', 'two', 'three', 'four', 'five'));
    assert.deepEqual(encode([...given]), framed('one', 'two', 'three', 'four'));
    assert.deepEqual(encode([...given], left), framed('two', 'three', 'four', 'five'));
    assert.equal(tokenizerOf().encodeIds(given, right).tokensGiven, 7);
  });

  test('outside the vocabulary are refused by number', () => {
    const tokenizer = tokenizerOf();
    assert.equal(tokenizer.vocabularySize, vocabulary.length);
    assert.doesNotThrow(() => tokenizer.encodeIds(Int32Array.of(0, vocabulary.length - 1), right));
    for (const wrong of [-1, vocabulary.length, 100_257]) {
      assert.throws(() => tokenizer.encodeIds(Int32Array.of(4, wrong), right), (error) => {
        assert.ok(error instanceof ServerError && error.code === 'TOKEN_OUT_OF_RANGE');
        return error.message.includes(String(wrong));
      });
    }
  });
});

describe('a tokenizer that cannot be served is refused', () => {
  test('when its special tokens leave no room', () => {
    assert.throws(() => tokenizerOf({ inputTokensMax: 2 }), /special tokens/);
  });

  test('when it marks tokens by type', () => {
    const parts = [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '[CLS]', type_id: 2 } }];
    const processor = { type: 'TemplateProcessing', single: parts, pair: [] };
    assert.throws(() => tokenizerOf({}, { post_processor: processor }), /token types/);
  });

  test('when a special token has no id', () => {
    const parts = [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }];
    const model = { type: 'WordPiece', unk_token: '[NONE]', continuing_subword_prefix: '##', vocab: { a: 0 } };
    const file = { model, added_tokens: [], post_processor: { type: 'TemplateProcessing', single: parts, pair: [] } };
    assert.throws(() => tokenizerOf({}, file), /not in the vocabulary/);
  });
});

describe('all-MiniLM-L6-v2', { skip: skipUnless(miniLmDirectory, miniLmReferenceFile) }, () => {
  const miniLm = () => {
    return new EmbeddingTokenizer({ ...readManifest(miniLmDirectory, { precision: 'auto' }), includePrompt: true });
  };

  test('gives the reference\'s ids for all reference texts', () => {
    const tokenizer = miniLm();
    const reference = JSON.parse(readFileSync(miniLmReferenceFile, 'utf8')) as { text: string; ids: number[] }[];
    assert.equal(reference.length, 100);
    for (const { text, ids: expected } of reference) {
      const { ids: kept, tokensGiven } = tokenizer.encodeText(text, right);
      assert.deepEqual([...kept], expected);
      assert.ok(tokensGiven >= expected.length);
      assert.deepEqual(tokenizer.encodeIds(Int32Array.from(expected), right).ids, kept);
    }
  });

  test('takes a million characters', () => {
    const tokenizer = miniLm();
    for (const text of ['a'.repeat(1_000_000), 'word '.repeat(200_000), '漢'.repeat(1_000_000)]) {
      const { ids: kept, tokensGiven } = tokenizer.encodeText(text, right);
      assert.equal(kept.length, Math.min(256, tokensGiven));
    }
  });
});
