// Spelling: how many keystrokes apart two words are.

/** Longer words are never compared letter by letter. */
const lettersMax = 32;

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment); above `limit` it says `limit + 1`. */
export function keystrokesBetween(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit || a.length > lettersMax || b.length > lettersMax) return limit + 1;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
      least = Math.min(least, cost);
    }
    if (least > limit) return limit + 1;
    before = last;
    last = row;
  }
  return last[b.length]!;
}

/** Mistakes that a word of this length may hold and still be the same word. */
export function mistakesMax(letters: number): number {
  if (letters < 3) return 0;
  if (letters < 7) return 1;
  return letters < 11 ? 2 : 3;
}

/** Whether `short` is `long` with letters left out, its first letter kept: bathrm, pkg, tbsp. */
export function isShortened(short: string, long: string): boolean {
  if (short.length < 2 || short.length > 0.75 * long.length || short[0] !== long[0]) return false;
  let at = 0;
  for (const letter of long) if (letter === short[at]) at++;
  return at === short.length;
}
