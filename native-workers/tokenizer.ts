// Text or client-made token ids in, the ids one session row gets out.
// The truncation and padding that tokenizer.json carries are not used: they are what its author last ran with.
import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import type { EmbedOptions } from '../src/backend/protocol.ts';
import { ServerError } from '../src/errors.ts';
import { unigramEncoder, type UnigramModel } from './unigram.ts';
import { wordPieceEncoder, type WordPieceModel } from './word-piece.ts';

export type Encoded = {
  /** Never empty, never longer than the model takes. */
  readonly ids: Int32Array;
  /** Tokens before truncation, special tokens included. */
  readonly tokensGiven: number;
  /** The first token that is pooled: after the prompt if the model leaves prompts out, else 0. */
  readonly pooledFrom: number;
};

export type TokenizerSettings = {
  readonly tokenizerFile: string;
  readonly tokenizerConfigFile: string | undefined;
  readonly inputTokensMax: number;
  readonly padTokenId: number;
  readonly lowerCase: boolean;
  /** False: a prompt's tokens are embedded but not pooled. */
  readonly includePrompt: boolean;
};

export class EmbeddingTokenizer {
  /** Ids below it exist. */
  readonly vocabularySize: number;
  readonly #tokenizer: LibraryTokenizer;
  readonly #settings: TokenizerSettings;
  /** What the library does otherwise than the Rust tokenizer, undone before it. */
  readonly #correct: (text: string) => string;
  /** Special tokens before and after every input. */
  readonly #prefix: readonly number[];
  readonly #suffix: readonly number[];
  readonly #bodyTokensMax: number;
  readonly #specialIds: ReadonlySet<number>;
  /** Of the prompt asked for last: requests rarely mix prompts. */
  #promptLength = { prompt: '', tokens: 0 };

  /** Throws a plain Error for a tokenizer that cannot be served. */
  constructor(settings: TokenizerSettings) {
    const file = readJson(settings.tokenizerFile) as TokenizerFile;
    const config = settings.tokenizerConfigFile === undefined ? {} : readJson(settings.tokenizerConfigFile);
    this.#settings = settings;
    this.#tokenizer = new Tokenizer(file, config) as LibraryTokenizer;
    const { model } = this.#tokenizer;
    if (isWordPiece(model)) model.encode = wordPieceEncoder(model);
    if (isUnigram(model)) model.encode = unigramEncoder(model);
    this.#correct = correctionFor(file.normalizer);
    this.vocabularySize = this.#tokenizer.model?.vocab.length ?? 0;
    const { prefix, suffix } = specialTokens(this.#tokenizer);
    this.#prefix = prefix;
    this.#suffix = suffix;
    this.#specialIds = new Set((file.added_tokens ?? []).filter((token) => token.special).map((token) => token.id));
    this.#bodyTokensMax = settings.inputTokensMax - prefix.length - suffix.length;
    if (this.#bodyTokensMax < 1) throw new Error('The special tokens alone fill the longest input.');
  }

  encodeText(text: string, options: Pick<EmbedOptions, 'prompt' | 'truncation'>): Encoded {
    const body = this.#tokenIds(options.prompt + text);
    const encoded = this.#frame(body, options.truncation);
    if (options.prompt === '' || this.#settings.includePrompt) return encoded;
    const promptTokens = this.#promptTokens(options.prompt);
    const cut = options.truncation === 'left' ? Math.max(0, body.length - this.#bodyTokensMax) : 0;
    return { ...encoded, pooledFrom: Math.max(this.#prefix.length, promptTokens - cut) };
  }

  /**
   * Ids as the client's own tokenizer made them. Special tokens are added unless they are there already.
   * Throws ServerError TOKEN_OUT_OF_RANGE.
   */
  encodeIds(ids: Int32Array, options: Pick<EmbedOptions, 'truncation'>): Encoded {
    for (const id of ids) {
      if (id >= 0 && id < this.vocabularySize) continue;
      const detail = `Token id ${id} is not in the model's vocabulary of ${this.vocabularySize} tokens.`;
      throw new ServerError('TOKEN_OUT_OF_RANGE', detail);
    }
    const start = this.#prefix.every((id, i) => ids[i] === id) ? this.#prefix.length : 0;
    const last = ids.length - this.#suffix.length;
    const end = last >= start && this.#suffix.every((id, i) => ids[last + i] === id) ? last : ids.length;
    return this.#frame(ids.subarray(start, end), options.truncation);
  }

  /** Cuts the body as the Rust tokenizer does, special tokens kept, and puts them around it. */
  #frame(body: ArrayLike<number>, truncation: EmbedOptions['truncation']): Encoded {
    const { length: before } = this.#prefix;
    const kept = Math.min(body.length, this.#bodyTokensMax);
    const skipped = truncation === 'left' ? body.length - kept : 0;
    const ids = new Int32Array(before + kept + this.#suffix.length);
    ids.set(this.#prefix);
    for (let i = 0; i < kept; i++) ids[before + i] = body[skipped + i]!;
    ids.set(this.#suffix, before + kept);
    const tokensGiven = before + body.length + this.#suffix.length;
    // A tokenizer without special tokens makes nothing of an empty text, and a session cannot run on nothing.
    if (ids.length === 0) return { ids: Int32Array.of(this.#settings.padTokenId), tokensGiven: 1, pooledFrom: 0 };
    return { ids, tokensGiven, pooledFrom: 0 };
  }

  #tokenIds(text: string): number[] {
    let cleaned = strip(text.replace(loneSurrogates, '\ufffd'));
    if (this.#settings.lowerCase) cleaned = cleaned.toLowerCase();
    const { ids } = this.#tokenizer.encode(this.#correct(cleaned), { add_special_tokens: false });
    // A vocabulary without an unknown token has no id for what it lacks; the Rust tokenizer leaves it out.
    return ids.includes(undefined) ? ids.filter(isKnown) : (ids as number[]);
  }

  /** Leading tokens that pooling leaves out: special ones too, but for one that ends the prompt's own input. */
  #promptTokens(prompt: string): number {
    if (this.#promptLength.prompt !== prompt) {
      const ids = [...this.#prefix, ...this.#tokenIds(prompt), ...this.#suffix];
      const endsSpecial = this.#specialIds.has(ids.at(-1) ?? -1);
      this.#promptLength = { prompt, tokens: endsSpecial ? ids.length - 1 : ids.length };
    }
    return this.#promptLength.tokens;
  }
}

type LibraryModel = { readonly vocab: readonly string[]; encode: (words: readonly string[]) => string[] };

function isWordPiece(model: LibraryModel | null): model is LibraryModel & WordPieceModel {
  return model !== null && 'max_input_chars_per_word' in model;
}

function isUnigram(model: LibraryModel | null): model is LibraryModel & UnigramModel {
  return model !== null && 'tokenize' in model;
}

/** What is used of the library, whose own types do not resolve under Node's module resolution. */
type LibraryTokenizer = {
  readonly model: LibraryModel | null;
  encode(text: string, options: { add_special_tokens: boolean; return_token_type_ids?: boolean }): {
    /** Undefined for a token without an id. */
    readonly ids: (number | undefined)[];
    readonly token_type_ids?: readonly number[];
  };
};

type TokenizerFile = {
  readonly normalizer: NormalizerFile | null;
  readonly added_tokens?: readonly { readonly id: number; readonly special?: boolean }[];
};

type NormalizerFile = {
  readonly type: string;
  readonly lowercase?: boolean;
  readonly handle_chinese_chars?: boolean;
  /** Of a Sequence. */
  readonly normalizers?: readonly NormalizerFile[];
};

function readJson(file: string): object {
  return JSON.parse(readFileSync(file, 'utf8')) as object;
}

/** Found by use, not by reading the post-processor: every kind of it puts the same tokens around any text. */
function specialTokens(tokenizer: LibraryTokenizer): { prefix: readonly number[]; suffix: readonly number[] } {
  const bare = tokenizer.encode('a', { add_special_tokens: false }).ids;
  const framed = tokenizer.encode('a', { add_special_tokens: true, return_token_type_ids: true });
  const start = framed.ids.findIndex((_, i) => bare.every((id, j) => framed.ids[i + j] === id));
  if (start < 0 || bare.length === 0) throw new Error('The tokenizer does not put its special tokens around a text.');
  const prefix = framed.ids.slice(0, start);
  const suffix = framed.ids.slice(start + bare.length);
  if (!prefix.every(isKnown) || !suffix.every(isKnown)) throw new Error('A special token is not in the vocabulary.');
  // Sessions get zeros for all token types; a model such as XLNet, which marks its last token, would be wrong.
  if (framed.token_type_ids?.some((type) => type !== 0)) throw new Error('The tokenizer gives token types beside 0.');
  return { prefix, suffix };
}

function isKnown(id: number | undefined): id is number {
  return id !== undefined;
}

/** What the tokenizers of other languages never see, since UTF-8 cannot hold it. */
const loneSurrogates = /\p{Surrogate}/gu;

/**
 * The library's BERT normaliser looks at UTF-16 units, so it puts no spaces around ideographs outside the
 * basic plane; and it lowers a capital sigma by its place in the word, the Rust one each letter by itself.
 */
function correctionFor(normalizer: NormalizerFile | null): (text: string) => string {
  const parts = normalizer === null ? [] : [normalizer, ...(normalizer.normalizers ?? [])];
  const bert = parts.find((part) => part.type === 'BertNormalizer');
  const lowers = bert?.lowercase === true || parts.some((part) => part.type === 'Lowercase');
  const spaces = bert?.handle_chinese_chars === true;
  return (text) => {
    const lowered = lowers ? text.replaceAll('\u03a3', '\u03c3') : text;
    return spaces ? lowered.replace(supplementaryIdeographs, ' $& ') : lowered;
  };
}

const supplementaryIdeographs = /[\u{20000}-\u{2a6df}\u{2a700}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

/** Python's str.strip, with which sentence-transformers begins: not quite the white space of trim. */
function strip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isPythonSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isPythonSpace(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isPythonSpace(unit: number): boolean {
  if (unit <= 0x20) return unit === 0x20 || (unit >= 0x1c && unit <= 0x1f) || (unit >= 0x09 && unit <= 0x0d);
  if (unit < 0x2000) return unit === 0x85 || unit === 0xa0 || unit === 0x1680;
  return unit <= 0x200a || unit === 0x2028 || unit === 0x2029 || unit === 0x202f || unit === 0x205f || unit === 0x3000;
}
