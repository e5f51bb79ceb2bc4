// WordPiece in steps bounded by the vocabulary: the library tries every end of a word, longest first, and joins its
// letters for each, which takes some ten seconds for a megabyte of words of 100 letters that fall apart.

/** What is used of the library's model. */
export type WordPieceModel = {
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  readonly unk_token: string;
  readonly max_input_chars_per_word: number;
  readonly config: { readonly continuing_subword_prefix: string };
};

/** The same tokens as the library's `encode`: of each place the longest that the vocabulary has. */
export function wordPieceEncoder(model: WordPieceModel): (words: readonly string[]) => string[] {
  let longest = 0;
  for (const token of model.tokens_to_ids.keys()) longest = Math.max(longest, token.length);
  return (words) => words.flatMap((word) => piecesOf(word, model, longest) ?? model.unk_token);
}

/** Undefined for a word that is too long, or has a place where no token fits. */
function piecesOf(word: string, model: WordPieceModel, longest: number): string[] | undefined {
  const lettersMax = model.max_input_chars_per_word;
  if (word.length > lettersMax && [...word].length > lettersMax) return undefined;
  const pieces: string[] = [];
  for (let start = 0; start < word.length; ) {
    const prefix = start === 0 ? '' : model.config.continuing_subword_prefix;
    let end = Math.min(word.length, start + longest);
    // Half a letter of two units is in no vocabulary.
    while (end > start && !model.tokens_to_ids.has(prefix + word.slice(start, end))) end -= 1;
    if (end === start) return undefined;
    pieces.push(prefix + word.slice(start, end));
    start = end;
  }
  return pieces;
}
