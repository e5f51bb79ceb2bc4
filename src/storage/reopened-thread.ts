// A thread that owns a file: opened when it is first asked, and again when it has died.
// Invariant: there is one at a time, however many ask at once.
import type { AskedThread } from './asked-thread.ts';

export class ReopenedThread<Request extends { readonly kind: string }> {
  readonly #open: () => Promise<AskedThread<Request>>;
  #opened: Promise<AskedThread<Request>> | undefined;

  constructor(open: () => Promise<AskedThread<Request>>) {
    this.#open = open;
  }

  /** Rejects when the thread cannot be opened, too: who asks next tries again. `transfer` is lost to the asker. */
  async ask(request: Request, transfer?: readonly ArrayBuffer[]): Promise<unknown> {
    return (await this.#thread()).ask(request, transfer);
  }

  /** Waits for one that is being opened, and lets it end by itself. */
  async end(): Promise<void> {
    const thread = await this.#opened?.catch(() => undefined);
    await thread?.end();
  }

  async #thread(): Promise<AskedThread<Request>> {
    const opened = this.#opened;
    const thread = await opened;
    if (thread !== undefined && !thread.gone) return thread;
    // Another one who found it gone may have been first.
    if (this.#opened === opened) this.#reopen();
    return this.#thread();
  }

  #reopen(): void {
    const opening = this.#open();
    this.#opened = opening;
    opening.catch(() => {
      if (this.#opened === opening) this.#opened = undefined;
    });
  }
}
