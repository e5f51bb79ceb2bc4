// Which thread setting and run size make the limit highest; and the whole grid of both, for choosing defaults by.
import { textsFrom, type Profile } from './corpus.ts';
import { cutRuns, LimitPool, threadChoices, threadsName, type Cut } from './limit.ts';
import type { BenchModel } from './models.ts';
import type { BenchOptions } from './options.ts';
import type { Patience } from './quiet.ts';
import { median } from './report.ts';

/** The best way found to run one profile on one model. */
export type LimitPlan = { readonly pool: LimitPool; readonly cut: Cut };

/** Another thread setting must be this much faster: on a quiet machine the first wins, and noise must not decide. */
const threadsGainMin = 1.05;

/** Enough texts that runs of even length can be cut, and few enough that a measurement goes over all of them. */
const textCounts: Record<Profile, number> = { short: 768, mixed: 384, long: 96 };

/** All thread settings with `model` loaded. */
export function startLimitPools(model: BenchModel): Promise<LimitPool[]> {
  return Promise.all(threadChoices.map((threads) => LimitPool.start(model, threads)));
}

/**
 * The best of all `pools` and of `runTokens` for a profile: first the run size, on one thread a worker, then the
 * threads. Trying every pair would take longer than the bench itself and finds the same.
 */
export async function searchLimit(
  pools: readonly LimitPool[],
  profile: Profile,
  runTokens: readonly number[],
  seconds: number,
  patience: Patience,
): Promise<LimitPlan> {
  const cuts = await distinctCuts(pools[0]!, profile, runTokens);
  let best: LimitPlan = { pool: pools[0]!, cut: cuts[0]! };
  let bestRate = 0;
  const tryPlan = async (plan: LimitPlan, gainMin: number) => {
    const { textsPerSecond } = await patience.quietestRate(() => plan.pool.measure(plan.cut, seconds));
    if (textsPerSecond > bestRate * gainMin) [best, bestRate] = [plan, textsPerSecond];
  };
  for (const cut of cuts) await tryPlan({ pool: pools[0]!, cut }, 1);
  const { cut } = best;
  for (const pool of pools.slice(1)) await tryPlan({ pool, cut }, threadsGainMin);
  return best;
}

/** The same runs cut by who knows only `windowTexts` texts at a time, as a server with so many in flight. */
export async function cutInHand({ pool, cut }: LimitPlan, profile: Profile, windowTexts: number): Promise<Cut> {
  const texts = textsFrom(profile, 0, textCounts[profile]);
  return cutRuns(texts, await pool.countTokens(texts), cut.runTokens, windowTexts);
}

/** Prints texts a second of every thread setting and run size: medians of rounds in turns. */
export async function printLimitGrid(
  models: readonly BenchModel[],
  options: BenchOptions,
  patience: Patience,
): Promise<void> {
  for (const model of models) {
    const pools = await startLimitPools(model);
    for (const profile of options.profiles) {
      const cuts = await distinctCuts(pools[0]!, profile, [0, ...options.runTokens]);
      const rates = pools.map(() => cuts.map((): number[] => []));
      for (let round = 0; round < options.rounds; round++) {
        for (const [p, pool] of pools.entries()) {
          for (const [c, cut] of cuts.entries()) {
            const { textsPerSecond } = await patience.quietestRate(() => pool.measure(cut, options.seconds));
            rates[p]![c]!.push(textsPerSecond);
          }
        }
      }
      const heads = cuts.map((cut) => (cut.runTokens === 0 ? 'one text' : `${cut.runTokens}`).padStart(10));
      console.log(`${`${model.name} ${profile}`.padEnd(16)}${heads.join('')}`);
      for (const [p, pool] of pools.entries()) {
        const cells = rates[p]!.map((values) => median(values).toFixed(1).padStart(10));
        console.log(`  ${threadsName(pool.threads).padEnd(14)}${cells.join('')}`);
      }
    }
    for (const pool of pools) await pool.close();
  }
}

/** One cut for each run size, without those that cut like another: long texts run alone whatever the size. */
async function distinctCuts(pool: LimitPool, profile: Profile, runTokens: readonly number[]): Promise<Cut[]> {
  const texts = textsFrom(profile, 0, textCounts[profile]);
  const tokens = await pool.countTokens(texts);
  const cuts = new Map<string, Cut>();
  for (const size of runTokens) {
    const cut = cutRuns(texts, tokens, size);
    const shape = cut.runs.map((run) => run.length).join();
    if (!cuts.has(shape)) cuts.set(shape, cut);
  }
  return [...cuts.values()];
}
