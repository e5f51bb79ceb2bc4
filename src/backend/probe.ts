// Learns what a session run costs on this machine, so that no constant is tuned to somebody else's cache sizes.
import { runTokensMax, runTokensMin } from '../limits.ts';
import type { ProbeReply, RunCost } from './protocol.ts';

/** What serves until the measurement is done: right for small models on today's CPUs, harmless elsewhere. */
export const runCostStart: RunCost = { tokensMax: 128, overheadTokens: 12 };

/**
 * Other work, such as another model that loads, may disturb the long runs of a measurement and spare the short ones.
 * Starting a run would then seem to cost nothing, and that holds for as long as the model lives.
 */
const overheadTokensMin = runCostStart.overheadTokens / 2;
/** Short texts: there the run size matters, since many of them share one. */
const probeTextTokens = 16;
/** A larger run must be this much faster a token, or the smaller one is taken: it answers sooner. */
const gainMin = 1.02;
/** A run is never stopped, so what arrives waits that long for it: longer ones are not worth a few percent. */
const runMsMax = 75;
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
 * Looks for the run with the most tokens a second, doubling it while that helps. On CPUs caches decide where that ends, on
 * GPUs it is where the device is full. Neighbouring sizes are timed in turns, so that a machine that slows down in
 * between does not decide. Takes about half a second of a small model on a CPU.
 */
export async function measureRunCost(options: ProbeOptions): Promise<RunCost> {
  const tokens = Math.min(probeTextTokens, options.inputTokensMax);
  const times = new RunTimes(options, tokens);
  await options.probe(1, tokens); // The first run allocates.
  const { fixedTokensMax } = options;
  if (fixedTokensMax !== 'auto') {
    await times.measure([tokens, fixedTokensMax]);
    return { tokensMax: fixedTokensMax, overheadTokens: times.overheadTokens(fixedTokensMax) };
  }
  // Always one size beyond the best so far, so that one disturbed time does not end the search.
  const sizes = [runTokensMin, runTokensMin * 2, runTokensMin * 4];
  await times.measure([tokens, ...sizes]);
  while (times.best(sizes) === sizes.at(-1) && sizes.at(-1)! * 2 <= runTokensMax) {
    sizes.push(sizes.at(-1)! * 2);
    await times.measure(sizes.slice(-2));
  }
  const size = times.best(sizes);
  return { tokensMax: size, overheadTokens: times.overheadTokens(size) };
}

/** The fastest time of each run size seen so far. */
class RunTimes {
  readonly #options: ProbeOptions;
  readonly #tokens: number;
  /** By run size in tokens: one time a worker. */
  readonly #fastestMs = new Map<number, number[]>();

  constructor(options: ProbeOptions, tokens: number) {
    this.#options = options;
    this.#tokens = tokens;
  }

  /** Times each size a few times, in turns. */
  async measure(sizes: readonly number[]): Promise<void> {
    for (let round = 0; round < repeats; round++) {
      for (const size of sizes) {
        const replies = await this.#options.probe(Math.ceil(size / this.#tokens), this.#tokens);
        const before = this.#fastestMs.get(size);
        this.#fastestMs.set(size, replies.map(({ runMs }, worker) => Math.min(before?.[worker] ?? Infinity, runMs)));
      }
    }
  }

  /** The smallest that is nearly as fast a token as the fastest, of those that do not run too long. */
  best(sizes: readonly number[]): number {
    const [smallest, ...larger] = sizes;
    const short = [smallest!, ...larger.filter((size) => this.msPerToken(size) * size <= runMsMax)];
    const fastest = Math.min(...short.map((size) => this.msPerToken(size)));
    return short.find((size) => this.msPerToken(size) <= fastest * gainMin)!;
  }

  /** Of the median worker. */
  msPerToken(size: number): number {
    const sorted = [...this.#fastestMs.get(size)!].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)]! / (Math.ceil(size / this.#tokens) * this.#tokens);
  }

  /** What starting a run costs, in tokens of a run of `size`. */
  overheadTokens(size: number): number {
    const singleMs = this.msPerToken(this.#tokens) * this.#tokens;
    return Math.max(overheadTokensMin, Math.round(singleMs / this.msPerToken(size) - this.#tokens));
  }
}
