// Measuring on a machine that others use too: a disturbed measurement is done again once the machine is quiet.
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMark, cpuSince } from './cpu.ts';

/** What the machine may spend elsewhere, in cores, before a measurement counts as disturbed. */
const foreignCoresMax = 0.15;
const triesMax = 4;
const lookMs = 200;

/** What a measurement tells of the machine; undefined where the system does not say. */
export type Disturbed = { readonly foreignCores: number | undefined };

/** A rate that the bench's own threads reached, and the cores they kept busy for it. */
export type WatchedRate = Disturbed & { readonly textsPerSecond: number; readonly cores: number };

/** Seconds left for waiting and for measuring again, so that a busy machine cannot make a bench endless. */
export class Patience {
  #secondsLeft: number;

  constructor(seconds: number) {
    this.#secondsLeft = seconds;
  }

  /** The least disturbed of a few measurements; the first one when it was quiet or patience is at its end. */
  async quietest<T extends Disturbed>(measure: () => Promise<T>): Promise<T> {
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

  /** As `quietest`, for work in the bench's own process. */
  quietestRate(measure: () => Promise<number>): Promise<WatchedRate> {
    return this.quietest(async () => {
      const mark = cpuMark([]);
      const textsPerSecond = await measure();
      const { cores, foreignCores } = cpuSince(mark);
      return { textsPerSecond, cores: cores.get(process.pid) ?? 0, foreignCores };
    });
  }

  /** Ends at the latest with the patience that is left now; the caller takes the time off. */
  async #untilQuiet(): Promise<void> {
    const deadline = performance.now() + this.#secondsLeft * 1000;
    while (performance.now() < deadline) {
      const mark = cpuMark([]);
      await sleep(lookMs);
      if (!isDisturbed(cpuSince(mark))) return;
    }
  }
}

function isDisturbed(measured: Disturbed): boolean {
  return (measured.foreignCores ?? 0) > foreignCoresMax;
}
