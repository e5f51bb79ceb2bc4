// Learns what a session run costs on this machine, so that no constant is tuned to somebody else's cache sizes.
import { runTokensMax, runTokensMin } from '../limits.ts';
import type { ProbeReply, RunCost } from './protocol.ts';

/** Short texts: there the run size matters, since many of them share one. */
const probeTextTokens = 16;
/** A larger run must be this much faster a token, or the smaller one is kept: it answers sooner. */
const gainMin = 1.04;
const repeats = 2;

export type ProbeOptions = {
  /** A configured size is not measured. */
  readonly fixedTokensMax: 'auto' | number;
  readonly inputTokensMax: number;
  /** Runs `count` rows of `tokens` tokens in all workers at once: they share memory bandwidth when serving, too. */
  readonly probe: (count: number, tokens: number) => Promise<readonly ProbeReply[]>;
};

/**
 * Doubles the run until tokens per second stop rising. On CPUs that is where a run leaves the L2 cache,
 * on GPUs where the device is full. Takes a few hundred milliseconds.
 */
export async function measureRunCost(options: ProbeOptions): Promise<RunCost> {
  const tokens = Math.min(probeTextTokens, options.inputTokensMax);
  await options.probe(1, tokens); // The first run allocates.
  const singleMs = await bestMs(options, 1, tokens);
  const fixed = options.fixedTokensMax;
  let best = fixed === 'auto' ? runTokensMin : fixed;
  let bestMsPerToken = (await bestMs(options, Math.ceil(best / tokens), tokens)) / best;
  for (let next = best * 2; fixed === 'auto' && next <= runTokensMax; next *= 2) {
    const msPerToken = (await bestMs(options, Math.ceil(next / tokens), tokens)) / next;
    if (bestMsPerToken / msPerToken < gainMin) break;
    best = next;
    bestMsPerToken = msPerToken;
  }
  const overheadTokens = Math.max(0, Math.round(singleMs / bestMsPerToken - tokens));
  return { tokensMax: best, overheadTokens };
}

/** The median over the workers of their fastest repeat: noise only ever adds time. */
async function bestMs(options: ProbeOptions, count: number, tokens: number): Promise<number> {
  const rounds: (readonly ProbeReply[])[] = [];
  for (let i = 0; i < repeats; i++) rounds.push(await options.probe(count, tokens));
  const fastest = rounds[0]!.map((_, worker) => Math.min(...rounds.map((replies) => replies[worker]!.runMs)));
  return fastest.sort((a, b) => a - b)[Math.floor(fastest.length / 2)]!;
}
