// How many tokens a text will have, guessed from its words and bytes: only workers tokenise, so that the event loop
// never does. Used for grouping and for the queue's bound; the worker cuts its runs by the exact counts.
import type { EmbedInput } from '../backend/protocol.ts';

/** What a guess is made from. Words alone fail where nobody writes spaces, bytes alone where words differ in length. */
export type TextSize = { readonly pieces: number; readonly bytes: number };

const specialTokens = 2;
/** A text beyond this many bytes a token of the model's length is cut anyway: no need to look at all of it. */
const bytesPerTokenMax = 16;
/** The share of what was known before a batch that is kept after it: a change of language shows within seconds. */
const memory = 0.98;
/** English in WordPiece, as strong as so many squared pieces: it yields to the texts that really come. */
const start = { perPiece: 0.7, perByte: 0.08, weight: 2000 };

/**
 * tokens = specials + perPiece * pieces + perByte * bytes, fitted to the workers' counts by least squares with
 * exponential forgetting.
 */
export class LengthEstimate {
  readonly #inputTokensMax: number;
  #perPiece: number = start.perPiece;
  #perByte: number = start.perByte;
  // Sums of products over what was seen: the normal equations of the fit.
  #pieces2 = start.weight;
  #bytes2 = start.weight * 30;
  #piecesBytes = start.weight * 5;
  #piecesTokens: number;
  #bytesTokens: number;

  constructor(inputTokensMax: number) {
    this.#inputTokensMax = inputTokensMax;
    this.#piecesTokens = start.perPiece * this.#pieces2 + start.perByte * this.#piecesBytes;
    this.#bytesTokens = start.perPiece * this.#piecesBytes + start.perByte * this.#bytes2;
  }

  /** What `tokens` and `learn` take; undefined for token ids, which need no guess. */
  measure(input: EmbedInput): TextSize | undefined {
    if (typeof input !== 'string') return undefined;
    return measureText(input, this.#inputTokensMax * bytesPerTokenMax);
  }

  /** Tokens the input will keep, at least 1 and at most the model's length. */
  tokens(input: EmbedInput, size: TextSize | undefined): number {
    const content = size === undefined ? input.length : this.#perPiece * size.pieces + this.#perByte * size.bytes;
    return Math.max(1, Math.min(this.#inputTokensMax, Math.ceil(specialTokens + content)));
  }

  /** Corrects the guess by what a worker counted; texts that were cut short tell nothing. */
  learn(sizes: readonly (TextSize | undefined)[], tokensGiven: Int32Array): void {
    const seen = sizes.flatMap((size, i) => {
      const tokens = tokensGiven[i]! - specialTokens;
      return size === undefined || tokens <= 0 || tokens > this.#inputTokensMax ? [] : [{ ...size, tokens }];
    });
    // Forgetting without learning would end with sums of zero, and a guess that is no number.
    if (seen.length === 0) return;
    this.#forget();
    for (const { pieces, bytes, tokens } of seen) {
      this.#pieces2 += pieces * pieces;
      this.#bytes2 += bytes * bytes;
      this.#piecesBytes += pieces * bytes;
      this.#piecesTokens += pieces * tokens;
      this.#bytesTokens += bytes * tokens;
    }
    this.#solve();
  }

  #forget(): void {
    this.#pieces2 *= memory;
    this.#bytes2 *= memory;
    this.#piecesBytes *= memory;
    this.#piecesTokens *= memory;
    this.#bytesTokens *= memory;
  }

  #solve(): void {
    const determinant = this.#pieces2 * this.#bytes2 - this.#piecesBytes * this.#piecesBytes;
    // Texts of one kind leave only their common direction known: then bytes alone must do.
    if (determinant < 1e-6 * this.#pieces2 * this.#bytes2) {
      this.#perPiece = 0;
      this.#perByte = this.#bytesTokens / this.#bytes2;
      return;
    }
    this.#perPiece = (this.#piecesTokens * this.#bytes2 - this.#bytesTokens * this.#piecesBytes) / determinant;
    this.#perByte = (this.#bytesTokens * this.#pieces2 - this.#piecesTokens * this.#piecesBytes) / determinant;
  }
}

/** Words and punctuation marks, which word-based tokenizers always part; UTF-8 bytes, about. */
function measureText(text: string, bytesMax: number): TextSize {
  let pieces = 0;
  let bytes = 0;
  let inWord = false;
  for (let i = 0; i < text.length && bytes < bytesMax; i++) {
    const code = text.charCodeAt(i);
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
    const letter = code >= 0x80 || (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || (code >= 65 && code <= 90);
    if (letter ? !inWord : code > 32) pieces += 1;
    inWord = letter;
  }
  return { pieces, bytes };
}
