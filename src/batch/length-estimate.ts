// How many tokens a text will have, guessed from its bytes: only workers tokenise, so that the event loop never does.
// Used for grouping and for the queue's bound; the worker cuts its runs by the exact counts.
import type { EmbedInput } from '../backend/protocol.ts';

/** English in WordPiece; the guess moves to the texts that really come. */
const bytesPerTokenStart = 4.5;
/** Forgets half of what it knows after about this many tokens, so that a change of language shows soon. */
const memoryTokens = 20_000;
const specialTokens = 2;

export class LengthEstimate {
  readonly #inputTokensMax: number;
  #bytes = bytesPerTokenStart * 1000;
  #tokens = 1000;

  constructor(inputTokensMax: number) {
    this.#inputTokensMax = inputTokensMax;
  }

  /** Tokens the input will keep, at least 1 and at most the model's length. */
  tokens(input: EmbedInput, prompt: string): number {
    const tokens =
      typeof input === 'string'
        ? specialTokens + ((Buffer.byteLength(input) + prompt.length) * this.#tokens) / this.#bytes
        : specialTokens + input.length;
    return Math.min(this.#inputTokensMax, Math.ceil(tokens));
  }

  /** Corrects the guess by what a worker counted before truncation. */
  learn(batch: readonly { input: EmbedInput; options: { prompt: string } }[], tokensGiven: Int32Array): void {
    batch.forEach(({ input, options }, i) => {
      if (typeof input !== 'string') return;
      this.#bytes += Buffer.byteLength(input) + options.prompt.length;
      this.#tokens += Math.max(0, tokensGiven[i]! - specialTokens);
    });
    if (this.#tokens > memoryTokens) {
      this.#bytes /= 2;
      this.#tokens /= 2;
    }
  }
}
