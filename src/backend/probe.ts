// Learns what a session run costs on this machine, so that no constant is tuned to somebody else's cache sizes.
import { runTokensMax, runTokensMin } from '../limits.ts';
import type { ProbeReply, RunCost } from './protocol.ts';

/** What serves until the measurement is done: right for small models on today's CPUs, harmless elsewhere. */
export const runCostStart: RunCost = { tokensMax: 128, overheadTokens: 12 };

/** Short texts: there the run size matters, since many of them share one. */
const probeTextTokens = 16;
/** A larger run must be this much faster a token, or the smaller one is kept: it answers sooner. */
const gainMin = 1.04;
/** Noise only ever adds time, so the fastest of a few counts. */
const repeats = 4;

export type ProbeOptions = {
  /** A configured size is not measured. */
  readonly fixedTokensMax: 'auto' | number;
  readonly inputTokensMax: number;
  /** Runs `count` rows of `tokens` tokens in all workers at once: they share memory bandwidth when serving, too. */
  readonly probe: (count: number, tokens: number) => Promise<readonly ProbeReply[]>;
};

/**
 * Doubles the run until tokens per second stop rising. On CPUs that is where a run leaves the L2 cache, on
 * GPUs where the device is full. Neighbouring sizes are timed in turns, so that a machine that slows down in
 * between does not decide.
 */
export async function measureRunCost(options: ProbeOptions): Promise<RunCost> {
  const tokens = Math.min(probeTextTokens, options.inputTokensMax);
  await options.probe(1, tokens); // The first run allocates.
  if (options.fixedTokensMax !== 'auto') {
    const [single, full] = await bestMs(options, tokens, [tokens, options.fixedTokensMax]);
    return { tokensMax: options.fixedTokensMax, overheadTokens: overheadOf(single!, full! / options.fixedTokensMax, tokens) };
  }
  let size = runTokensMin;
  for (;;) {
    const [single, smaller, larger] = await bestMs(options, tokens, [tokens, size, size * 2]);
    const smallerMsPerToken = smaller! / size;
    if (smallerMsPerToken / (larger! / (size * 2)) < gainMin || size * 2 > runTokensMax) {
      return { tokensMax: size, overheadTokens: overheadOf(single!, smallerMsPerToken, tokens) };
    }
    size *= 2;
  }
}

function overheadOf(singleMs: number, msPerToken: number, tokens: number): number {
  return Math.max(0, Math.round(singleMs / msPerToken - tokens));
}

/** For each run size in tokens, the median over the workers of their fastest run. */
async function bestMs(options: ProbeOptions, tokens: number, sizes: readonly number[]): Promise<number[]> {
  const fastest: number[][] = sizes.map(() => []);
  for (let round = 0; round < repeats; round++) {
    for (const [i, size] of sizes.entries()) {
      const replies = await options.probe(Math.ceil(size / tokens), tokens);
      replies.forEach(({ runMs }, worker) => {
        fastest[i]![worker] = Math.min(fastest[i]![worker] ?? Infinity, runMs);
      });
    }
  }
  return fastest.map((workers) => workers.sort((a, b) => a - b)[Math.floor(workers.length / 2)]!);
}
