// Which known name somebody probably meant. Pure; used for environment variables, flags and commands.

/** Insertions, deletions, replacements and swaps of neighbours that turn one into the other. */
export function editDistance(left: string, right: string): number {
  let beforePrevious: readonly number[] = [];
  let previous: readonly number[] = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = previous[column - 1]! + (left[row - 1] === right[column - 1] ? 0 : 1);
      let least = Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1);
      const swapped = row > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (swapped) least = Math.min(least, beforePrevious[column - 2]! + 1);
      current.push(least);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[right.length]!;
}

/** The known name within `distanceMax` edits that is nearest to `name`; the first of several. */
export function nearestName(name: string, known: readonly string[], distanceMax: number): string | undefined {
  let nearest: string | undefined;
  let least = distanceMax + 1;
  for (const candidate of known) {
    // The difference in length is a lower bound, and rules most candidates out.
    if (Math.abs(candidate.length - name.length) >= least) continue;
    const distance = editDistance(name, candidate);
    if (distance >= least) continue;
    nearest = candidate;
    least = distance;
  }
  return nearest;
}
