// Which texts stand one after another in a row, for graphs that keep them apart (models/pack.py). Pure.
// "Sequence packing": Krell et al., "Efficient Sequence Packing without Cross-contamination", 2021.

/** Inputs of one row of a run, by their indices, in the order they stand in. */
export type Row = { readonly inputs: readonly number[]; readonly tokens: number };

type OpenRow = { readonly inputs: number[]; tokens: number };

/**
 * Attention looks at all pairs of a row: in one of so many tokens a token costs twice of what it costs in a short row.
 * Measured on all-MiniLM-L6-v2: 240 us a token in one row of 126, 228 in three of 42, 223 in eight of 16.
 */
const pairsTokens = 1700;
/** About how long rows may be; which of these is best depends on how evenly the inputs fill them. */
const rowTokens = [24, 32, 40, 48, 64, 96, 128];
/** More inputs fill rows of any length evenly. */
const triedInputsMax = 128;
const rowTokensOfMany = 96;

/** One input a row: what every graph takes. Ascending by tokens. */
export function singleRows(lengths: readonly number[]): Row[] {
  return byTokens(lengths.map((tokens, i) => ({ inputs: [i], tokens })));
}

/**
 * The rows that are cheapest to run: short ones for attention, evenly filled for the others' sake. Ascending by tokens.
 * @param rowTokensMax at least the longest input
 */
export function packedRows(lengths: readonly number[], rowTokensMax: number): Row[] {
  if (lengths.length === 0) return [];
  const longest = lengths.reduce((a, b) => Math.max(a, b));
  const total = lengths.reduce((a, b) => a + b);
  const tried = lengths.length > triedInputsMax ? [rowTokensOfMany] : rowTokens;
  const counts = new Set(tried.map((tokens) => Math.ceil(total / Math.min(rowTokensMax, Math.max(tokens, longest)))));
  let best: readonly OpenRow[] = [];
  for (const count of counts) {
    const rows = boundedRows(lengths, count, rowTokensMax);
    if (best.length === 0 || costOf(rows) < costOf(best)) best = rows;
  }
  return byTokens(best);
}

/** In tokens of short rows; every row is padded to the longest. */
function costOf(rows: readonly OpenRow[]): number {
  const longest = rows.reduce((most, { tokens }) => Math.max(most, tokens), 0);
  return rows.length * longest * (1 + longest / pairsTokens);
}

/** As many rows as `count`, or as few more as leave none too long. */
function boundedRows(lengths: readonly number[], count: number, rowTokensMax: number): readonly OpenRow[] {
  const rows = evenRows(lengths, count);
  return rows.some(({ tokens }) => tokens > rowTokensMax) ? boundedRows(lengths, count + 1, rowTokensMax) : rows;
}

/** Rows of about the same length: the next longest input goes to the shortest row, then inputs change places. */
function evenRows(lengths: readonly number[], count: number): readonly OpenRow[] {
  const rows = Array.from({ length: count }, (): OpenRow => ({ inputs: [], tokens: 0 }));
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  for (const i of order) add(rows.reduce((a, b) => (b.tokens < a.tokens ? b : a)), i, lengths[i]!);
  if (lengths.length > triedInputsMax) return rows;
  let moved = true;
  while (moved) {
    const longest = rows.reduce((a, b) => (b.tokens > a.tokens ? b : a));
    moved = rows.some((row) => row !== longest && shorten(longest, row, lengths));
  }
  return rows;
}

/** Gives an input of `long` for a shorter one of `short`, or for none, so that both end below what `long` was. */
function shorten(long: OpenRow, short: OpenRow, lengths: readonly number[]): boolean {
  const gap = long.tokens - short.tokens;
  let best: { given: number; taken: number | undefined; left: number } | undefined;
  for (const given of long.inputs) {
    for (const taken of [undefined, ...short.inputs]) {
      const tokens = lengths[given]! - (taken === undefined ? 0 : lengths[taken]!);
      if (tokens <= 0 || tokens >= gap) continue;
      const left = Math.abs(gap - 2 * tokens);
      if (best === undefined || left < best.left) best = { given, taken, left };
    }
  }
  if (best === undefined) return false;
  const { given, taken } = best;
  remove(long, given, lengths[given]!);
  add(short, given, lengths[given]!);
  if (taken === undefined) return true;
  remove(short, taken, lengths[taken]!);
  add(long, taken, lengths[taken]!);
  return true;
}

function add(row: OpenRow, input: number, tokens: number): void {
  row.inputs.push(input);
  row.tokens += tokens;
}

function remove(row: OpenRow, input: number, tokens: number): void {
  row.inputs.splice(row.inputs.indexOf(input), 1);
  row.tokens -= tokens;
}

function byTokens(rows: readonly Row[]): Row[] {
  return rows.filter(({ inputs }) => inputs.length > 0).sort((a, b) => a.tokens - b.tokens);
}
