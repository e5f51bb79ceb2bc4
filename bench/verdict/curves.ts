// Shares with their uncertainty, and tables of them.
import type { Mode } from '../../src/cache/semantic/verdict/judge.ts';

/** How one mode judged one pair: `score` is what its threshold is compared with, below every threshold when refused. */
export type Judged = { readonly same: boolean; readonly kind: string; readonly score: number };

const confidence95 = 1.96;

/** Wilson's score interval of a share at 95 %. */
export function wilson(count: number, total: number): { readonly low: number; readonly high: number } {
  if (total === 0) return { low: 0, high: 1 };
  const z2 = confidence95 ** 2;
  const share = count / total;
  const middle = share + z2 / (2 * total);
  const spread = confidence95 * Math.sqrt((share * (1 - share)) / total + z2 / (4 * total * total));
  const divisor = 1 + z2 / total;
  return { low: Math.max(0, (middle - spread) / divisor), high: Math.min(1, (middle + spread) / divisor) };
}

/** `61.8 % [52.5-70.3] 68/110`. */
export function shareText(count: number, total: number): string {
  if (total === 0) return '-';
  const { low, high } = wilson(count, total);
  const percent = (share: number) => (100 * share).toFixed(1);
  return `${percent(count / total)} % [${percent(low)}-${percent(high)}] ${count}/${total}`;
}

export type Curves = Readonly<Record<Mode, readonly Judged[]>>;

export function curveTable(curves: Curves, thresholdsOf: Readonly<Record<Mode, readonly number[]>>): string {
  const lines = ['| mode | threshold | hits on true pairs | false hits on the others |', '|---|---|---|---|'];
  for (const [mode, judged] of Object.entries(curves) as [Mode, readonly Judged[]][]) {
    for (const threshold of thresholdsOf[mode]) {
      lines.push(`| ${mode} | ${threshold.toFixed(2)} | ${hits(judged, threshold, true)} | ${hits(judged, threshold, false)} |`);
    }
  }
  return lines.join('\n');
}

/** One row a kind, one column a mode at its threshold. */
export function kindTable(curves: Curves, thresholds: Readonly<Record<Mode, number>>): string {
  const modes = Object.keys(curves) as Mode[];
  const head = modes.map((mode) => `${mode} ${thresholds[mode].toFixed(2)}`);
  const lines = [`| pairs | kind | ${head.join(' | ')} |`, `|---|---|${modes.map(() => '---').join('|')}|`];
  for (const same of [true, false]) {
    const kinds = new Set(curves[modes[0]!].filter((one) => one.same === same).map((one) => one.kind));
    for (const kind of kinds) {
      const cells = modes.map((mode) => hits(curves[mode].filter((one) => one.kind === kind), thresholds[mode], same));
      lines.push(`| ${same ? 'same answer' : 'other answer'} | ${kind} | ${cells.join(' | ')} |`);
    }
  }
  return lines.join('\n');
}

function hits(judged: readonly Judged[], threshold: number, same: boolean): string {
  const pairs = judged.filter((one) => one.same === same);
  return shareText(pairs.filter((one) => one.score >= threshold).length, pairs.length);
}
