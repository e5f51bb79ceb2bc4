// Whether Redis is asked at all. After some failures in a row nobody asks until a probe is answered; probes go out
// beside the requests, so that none of them waits for one.
//
//   closed --failures in a row--> open --a probe is answered--> closed
import { breakerFailuresMax, breakerProbeMs, breakerReconnectProbes } from '../limits.ts';

export type Probes = {
  /** Resolves to whether the other side answers; never rejects, and takes a bounded time. */
  readonly probe: () => Promise<boolean>;
  /** Called when probes have failed for long: a connection may be dead without either side knowing. */
  readonly reconnect: () => void;
  /** Told of each change. */
  readonly changed: (isOpen: boolean) => void;
};

export class Breaker {
  readonly #probes: Probes;
  #failures = 0;
  #failedProbes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(probes: Probes) {
    this.#probes = probes;
  }

  get isOpen(): boolean {
    return this.#timer !== undefined;
  }

  succeeded(): void {
    this.#failures = 0;
  }

  failed(): void {
    this.#failures += 1;
    if (this.#failures < breakerFailuresMax || this.isOpen) return;
    this.#failedProbes = 0;
    this.#probeLater();
    this.#probes.changed(true);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #probeLater(): void {
    this.#timer = setTimeout(() => void this.#probe(), breakerProbeMs).unref();
  }

  async #probe(): Promise<void> {
    if (await this.#probes.probe()) {
      this.#timer = undefined;
      this.#failures = 0;
      return this.#probes.changed(false);
    }
    this.#failedProbes += 1;
    if (this.#failedProbes % breakerReconnectProbes === 0) this.#probes.reconnect();
    this.#probeLater();
  }
}
