// Unigram word by word: the library looks for the best tokens of a whole text at once, which takes 700 bytes of memory a
// letter, and hands them on as arguments, for which the stack ends at some 100,000.

/** What is used of the library's model. */
export type UnigramModel = { readonly vocab: readonly string[]; tokenize(text: string): string[] };

/** What stands for a space, at the start of a word. */
const space = '\u2581';
const wordStarts = new RegExp(`(?=${space})`);

/** The same tokens as the library's `encode`. */
export function unigramEncoder(model: UnigramModel): (texts: readonly string[]) => string[] {
  // Where no token goes on over a space, the best tokens of a text are those of its words.
  const isOfWords = model.vocab.every((token) => token.lastIndexOf(space) <= 0);
  return (texts) => (isOfWords ? texts.flatMap((text) => text.split(wordStarts)) : texts).flatMap((text) => model.tokenize(text));
}
