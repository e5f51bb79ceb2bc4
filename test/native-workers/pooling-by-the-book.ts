// Pooling written as its definition, in double precision: what the fast one is compared with.
import type { PoolingMode } from '../../src/backend/manifest.ts';

/** `rows` are the vectors of the tokens, padding left out; those before `from` do not count, but for 'cls'. */
export function pooledByTheBook(mode: PoolingMode, rows: readonly (readonly number[])[], from: number): number[] {
  const counted = rows.slice(from);
  const column = (i: number) => counted.map((row) => row[i]!);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return rows[0]!.map((first, i) => {
    switch (mode) {
      case 'cls':
        return first;
      case 'max':
        return Math.max(...column(i));
      case 'mean':
        return sum(column(i)) / counted.length;
      case 'meanSqrtLength':
        return sum(column(i)) / Math.sqrt(counted.length);
      case 'weightedMean': {
        const weights = counted.map((_, token) => from + token + 1);
        return sum(column(i).map((value, token) => value * weights[token]!)) / sum(weights);
      }
      case 'lastToken':
        return counted.at(-1)![i]!;
    }
  });
}
