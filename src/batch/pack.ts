// Which texts stand one after another in a row, for graphs that keep them apart (models/pack.py). Pure.
// "Sequence packing": Krell et al., "Efficient Sequence Packing without Cross-contamination", 2021.

/**
 * Tokens of a row that holds several texts. Attention costs grow with a row's square, and rows of a few tokens make
 * products too small to be fast; between 64 and 128 the tokens a second were the same, on both sides fewer.
 */
const rowTokens = 128;

/** Inputs of one row of a run, by their indices, in the order they stand in. */
export type Row = { readonly inputs: readonly number[]; readonly tokens: number };

/** One input a row: what every graph takes. Ascending by tokens. */
export function singleRows(lengths: readonly number[]): Row[] {
  return byTokens(lengths.map((tokens, i) => ({ inputs: [i], tokens })));
}

/**
 * As few rows as hold all inputs, of about the same length: the next longest input goes to the shortest row. Rows are
 * no longer than the longest input has to be, or `rowTokens` and what evening out costs. Ascending by tokens.
 */
export function packedRows(lengths: readonly number[]): Row[] {
  const longest = lengths.reduce((a, b) => Math.max(a, b), rowTokens);
  const total = lengths.reduce((a, b) => a + b, 0);
  const rows = Array.from({ length: Math.max(1, Math.ceil(total / longest)) }, () => ({ inputs: [] as number[], tokens: 0 }));
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  for (const i of order) {
    const shortest = rows.reduce((a, b) => (b.tokens < a.tokens ? b : a));
    shortest.inputs.push(i);
    shortest.tokens += lengths[i]!;
  }
  return byTokens(rows.filter((row) => row.inputs.length > 0));
}

function byTokens(rows: Row[]): Row[] {
  return rows.sort((a, b) => a.tokens - b.tokens);
}
