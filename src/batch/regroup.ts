// Clients that were answered together mostly ask again together. Taking what waits a moment too early would split
// them: of 32 clients in a loop, a third would wait, a third run and a third be on their way, and runs would be a
// third smaller than with two halves. So after a batch that answered several requests the freed worker stands
// still until as many have come, at most for a small part of the batch's own time.
// Nobody waits for this on an idle server: it begins only with the end of a batch of several requests.
import { regroupFraction, regroupMsMax } from '../limits.ts';

export class Regroup {
  readonly #onEnd: () => void;
  #awaited = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onEnd told when the time is over */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  get active(): boolean {
    return this.#awaited > 0;
  }

  /** After a batch that took `batchMs` and with which `answered` requests ended. */
  begin(answered: number, batchMs: number): void {
    const waitMs = Math.min(regroupMsMax, Math.round(batchMs * regroupFraction));
    if (answered < 2 || waitMs < 1) return;
    this.#awaited += answered;
    this.#timer ??= setTimeout(() => {
      this.end();
      this.#onEnd();
    }, waitMs);
  }

  /** A request came. */
  arrived(): void {
    if (this.#awaited > 0) this.#awaited -= 1;
  }

  end(): void {
    this.#awaited = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
