// How often the semantic cache would answer with an answer that is right, and with one that is not.
//     npm run eval:cache [-- PAIRS]
import path from 'node:path';
import { judgeOf, modes, thresholds } from '../src/cache/semantic/verdict/judge.ts';
import type { Mode } from '../src/cache/semantic/verdict/judge.ts';
import { probabilityOf } from '../src/cache/semantic/verdict/verifier.ts';
import { curveTable, kindTable, shareText } from './verdict/curves.ts';
import type { Curves, Judged } from './verdict/curves.ts';
import { exampleOf, examplesOf, fit } from './verdict/fit.ts';
import type { Example } from './verdict/fit.ts';
import { fitFile, heldOutFile, measurePairs, openEmbedder, readPairs, referenceFile } from './verdict/pairs.ts';
import type { MeasuredPair, PairSet } from './verdict/pairs.ts';

const folds = 10;
const shownThresholds: Readonly<Record<Mode, readonly number[]>> = {
  verified: [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95],
  guarded: [0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
  cosine: [0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99],
};
const shownFloors = [0, 0.3, 0.4, 0.5, 0.6, 0.7];
/** Below every threshold. */
const refused = -1;
const timedRounds = 20;

const file = process.argv[2] ?? referenceFile;
const embedder = await openEmbedder();
const given = await measurePairs(readPairs(file), embedder);
const own = await measurePairs(readPairs(fitFile), embedder, 1_000_000);
const heldOut = await measurePairs(readPairs(heldOutFile), embedder, 2_000_000);
await embedder.close();

const crossed = crossValidated(given, own);
print(`${path.basename(file)}: ${given.pairs.length} pairs`, `The verifier's figures are cross-validated: ${folds} folds, pairs on related questions in one fold; each pair is
judged by weights that were fitted without its fold. The guard's rules were written with this file in sight, so its
figures here flatter it: the pairs below are the test of the rules.`, { ...judgedBy(given.pairs), verified: crossed.pairs });
const near = crossed.neighbours;
console.log(`Questions of different pairs that lie near each other (cosine 0.35 and more), cross-validated the same way:
false hits at ${thresholds.verified}: ${shareText(near.filter(({ score }) => score >= thresholds.verified).length, near.length)}\n`);
const heldOutJudged = judgedBy(heldOut.pairs);
print(`Held out: ${heldOut.pairs.length} pairs`, 'Judged as the server does. Neither rules nor weights were made from these.', heldOutJudged);
printFloors([[path.basename(file), given.pairs, crossed.pairs], ['Held out', heldOut.pairs, heldOutJudged.verified]]);
timeJudge([...given.pairs, ...heldOut.pairs]);

function print(title: string, about: string, curves: Curves): void {
  console.log(`## ${title}\n\n${about}\n\n${curveTable(curves, shownThresholds)}\n`);
  console.log(`At the server's thresholds:\n\n${kindTable(curves, thresholds)}\n`);
}

/** What it costs to show the verifier only neighbours above a similarity. */
function printFloors(sets: readonly (readonly [string, readonly MeasuredPair[], readonly Judged[]])[]): void {
  console.log(`## Verified at ${thresholds.verified}, where the verifier sees only pairs of at least this similarity\n`);
  for (const [name, pairs, judged] of sets) {
    for (const floor of shownFloors) {
      const share = (same: boolean) => {
        const chosen = judged.filter((one) => one.same === same);
        const hit = judged.filter((one, i) => one.same === same && pairs[i]!.similarity >= floor && one.score >= thresholds.verified);
        return shareText(hit.length, chosen.length);
      };
      console.log(`${name}, ${floor.toFixed(1)}: hits ${share(true)}, false hits ${share(false)}`);
    }
  }
  console.log();
}

/** As the server judges, whatever the threshold: refusals fall below all of them. */
function judgedBy(pairs: readonly MeasuredPair[]): Record<Mode, readonly Judged[]> {
  const judged = modes.map((mode) => {
    const judge = judgeOf(mode, 0);
    return [mode, pairs.map(({ a, b, similarity, same, kind }): Judged => {
      const verdict = judge({ question: a, cached: b, similarity });
      const score = mode === 'guarded' ? similarity : verdict.score;
      return { same, kind, score: verdict.same ? score : refused };
    })];
  });
  return Object.fromEntries(judged) as Record<Mode, readonly Judged[]>;
}

/** Each pair of `set` judged by weights fitted on the other folds and on `besides`. */
function crossValidated(set: PairSet, besides: PairSet): { readonly pairs: Judged[]; readonly neighbours: Judged[] } {
  const examples = [...examplesOf(set), ...examplesOf(besides)];
  const fitted = Array.from({ length: folds }, (_, fold) => {
    return fit(examples.filter(({ groups }) => groups.every((group) => foldOf(group) !== fold || group >= 1_000_000)));
  });
  const judged = (pair: MeasuredPair, example: Example): Judged => {
    const score = probabilityOf(example.values, fitted[foldOf(pair.group)]!);
    return { same: pair.same, kind: pair.kind, score: example.guarded ? refused : score };
  };
  return {
    pairs: set.pairs.map((pair) => judged(pair, exampleOf(pair, 1, []))),
    neighbours: set.neighbours.map((pair) => judged(pair, exampleOf(pair, 1, []))),
  };
}

/** Folds of groups, spread by a multiplicative hash. */
function foldOf(group: number): number {
  return Math.floor(((Math.imul(group + 1, 2_654_435_761) >>> 0) / 2 ** 32) * folds);
}

function timeJudge(pairs: readonly MeasuredPair[]): void {
  const judge = judgeOf('verified');
  const times: number[] = [];
  for (let round = 0; round < timedRounds; round++) {
    for (const { a, b, similarity } of pairs) {
      const startMs = performance.now();
      judge({ question: a, cached: b, similarity });
      // The first round compiles.
      if (round > 0) times.push(performance.now() - startMs);
    }
  }
  times.sort((x, y) => x - y);
  const at = (share: number) => times[Math.floor(share * (times.length - 1))]!.toFixed(3);
  console.log(`One verdict: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms (${times.length} verdicts).`);
}
