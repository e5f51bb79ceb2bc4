// What brings a server back of which no model answers: load balancers send it nothing then, so nothing would ask again.
import { recoveryMs, recoveryMsMax } from '../limits.ts';

export type Recoverable = {
  readonly state: string;
  /** Tries again at once, whenever the last try was. */
  load(): Promise<void>;
};

export class Recovery {
  readonly #models: () => readonly Recoverable[];
  readonly #isReady: () => boolean;
  #waitMs = recoveryMs;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /**
   * @param isReady while it says yes, failed models wait for whoever asks for them: their load could push out one
   * that serves
   */
  constructor(models: () => readonly Recoverable[], isReady: () => boolean) {
    this.#models = models;
    this.#isReady = isReady;
    this.#schedule();
  }

  /** Starts no further load. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#look(), this.#waitMs).unref();
  }

  async #look(): Promise<void> {
    const failed = this.#isReady() ? [] : this.#models().filter(({ state }) => state === 'failed');
    // The log has the reason already.
    await Promise.allSettled(failed.map((model) => model.load()));
    this.#waitMs = failed.length > 0 && !this.#isReady() ? Math.min(2 * this.#waitMs, recoveryMsMax) : recoveryMs;
    this.#schedule();
  }
}
