// Measuring on a machine that others use too: wait for a quiet moment, and do a disturbed measurement again.
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMark, cpuSince } from './cpu.ts';

/** What the machine may spend elsewhere, in cores, before a measurement counts as disturbed. */
const foreignCoresMax = 0.15;
const triesMax = 4;
const lookMs = 200;

/** Seconds left for waiting and for measuring again, so that a busy machine cannot make a bench endless. */
export class Patience {
  #secondsLeft: number;

  constructor(seconds: number) {
    this.#secondsLeft = seconds;
  }

  /** The least disturbed of a few measurements; the first one when it was quiet or patience is at its end. */
  async quietest<T extends Disturbed>(measure: () => Promise<T>): Promise<T> {
    await this.#untilQuiet();
    let best = await measure();
    for (let tries = 1; tries < triesMax && isDisturbed(best) && this.#secondsLeft > 0; tries++) {
      const startMs = performance.now();
      await this.#untilQuiet();
      const again = await measure();
      this.#secondsLeft -= (performance.now() - startMs) / 1000;
      if (again.foreignCores! < best.foreignCores!) best = again;
    }
    return best;
  }

  /** The rate that the bench's own threads reach. */
  async quietestRate(measure: () => Promise<number>): Promise<number> {
    const watched = async () => {
      const mark = cpuMark([]);
      const rate = await measure();
      return { rate, foreignCores: cpuSince(mark).foreignCores };
    };
    return (await this.quietest(watched)).rate;
  }

  async #untilQuiet(): Promise<void> {
    while (this.#secondsLeft > 0) {
      const mark = cpuMark([]);
      await sleep(lookMs);
      if (!isDisturbed(cpuSince(mark))) return;
      this.#secondsLeft -= lookMs / 1000;
    }
  }
}

type Disturbed = { readonly foreignCores: number | undefined };

function isDisturbed(measured: Disturbed): boolean {
  return (measured.foreignCores ?? 0) > foreignCoresMax;
}
