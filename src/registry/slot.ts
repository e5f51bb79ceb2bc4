// One model's life: absent, loading, ready, draining, failed; and the leases of those who use it.
//
//   absent --lease--> loading --ok--> ready --unload--> draining --no lease left--> absent
//                        \--error--> failed --lease, after a pause--> loading
//   loading or ready --lose--> stuck, for good: a worker does not come back, and only the end of the process ends it
//   ready --reload--> ready (the old one serves until the new one answers; an error leaves it as it is)
//
// Invariants: at most one load at a time; what is leased is never closed.
import { ServerError, toServerError } from '../errors.ts';
import { loadRetryMs, loadWaitersMax, retryAfterMsMin } from '../limits.ts';

/** What a slot holds once loaded. */
export type Loaded = {
  /** Called once, when nobody has a lease. Never rejects for a reason that a user could mend. */
  close(): Promise<void>;
};

export type SlotState = 'absent' | 'loading' | 'ready' | 'draining' | 'failed' | 'stuck';

/** The right to use what is loaded; released exactly once, in a `finally`. */
export type Lease<Model extends Loaded> = { readonly model: Model; release(): void };

type Held<Model> = { readonly model: Model; leases: number; retired: boolean; whenIdle: (() => void)[] };

export class Slot<Model extends Loaded> {
  readonly #open: () => Promise<Model>;
  readonly #onIdle: () => void;
  #held: Held<Model> | undefined;
  #loading: Promise<Held<Model>> | undefined;
  /** Before there is a promise of it: whoever makes room for the model counts it. */
  #isLoading = false;
  #draining: Promise<void> | undefined;
  #reloading: Promise<void> | undefined;
  #nextReload: Promise<void> | undefined;
  #failure: { error: ServerError; atMs: number } | undefined;
  #lost: ServerError | undefined;
  #usedMs = performance.now();
  #uses = 0;
  #waiting = 0;

  /**
   * @param open loads the model; rejects with what the next requests are told
   * @param onIdle told when the last lease ends: the time to make room for others
   */
  constructor(open: () => Promise<Model>, onIdle: () => void = () => {}) {
    this.#open = open;
    this.#onIdle = onIdle;
  }

  get state(): SlotState {
    if (this.#lost !== undefined) return 'stuck';
    if (this.#held !== undefined) return 'ready';
    if (this.#isLoading) return 'loading';
    if (this.#draining !== undefined) return 'draining';
    return this.#failure === undefined ? 'absent' : 'failed';
  }

  /** What is loaded, to look at without a lease; undefined unless ready. */
  get model(): Model | undefined {
    return this.#lost === undefined ? this.#held?.model : undefined;
  }

  /** Counts as a use for whoever needs nothing but `model`. */
  touch(): void {
    this.#uses += 1;
    this.#usedMs = performance.now();
  }

  get leases(): number {
    return this.#held?.leases ?? 0;
  }

  /** How often it was leased since the start. */
  get uses(): number {
    return this.#uses;
  }

  /** Since the last lease began or ended; 0 while there is one. */
  get idleMs(): number {
    return this.leases > 0 ? 0 : performance.now() - this.#usedMs;
  }

  /** Why the last load failed, or that it is stuck. */
  get failure(): ServerError | undefined {
    return this.#lost ?? this.#failure?.error;
  }

  /**
   * Loads if need be. After a failed load the same error is answered for a while, so that a broken model costs no
   * CPU. Throws MODEL_NOT_READY when too many wait already.
   */
  async lease(): Promise<Lease<Model>> {
    if (this.#lost !== undefined) throw this.#lost;
    let held = this.#held;
    if (held === undefined) {
      this.#refuseWaiter();
      this.#waiting += 1;
      try {
        held = await this.#load();
      } finally {
        this.#waiting -= 1;
      }
    }
    // While this call waited for the load, the model may have been retired again.
    if (held.retired) return this.lease();
    held.leases += 1;
    this.#uses += 1;
    this.#usedMs = performance.now();
    let released = false;
    return {
      model: held.model,
      release: () => {
        if (released) return;
        released = true;
        this.#release(held);
      },
    };
  }

  /** Waits for leases, then frees it. Resolves when it is gone; loading is let finish first. */
  async unload(): Promise<void> {
    if (this.#lost !== undefined) return;
    if (this.#loading !== undefined) await this.#loading.catch(() => {});
    const held = this.#held;
    if (held === undefined) return this.#draining;
    this.#held = undefined;
    this.#draining = this.#retire(held).finally(() => (this.#draining = undefined));
    await this.#draining;
    // One that goes on throws its model away, now that the old one is gone.
    await this.#reloading?.catch(() => {});
  }

  /**
   * Opens it anew beside the old one and then changes over; rejects and changes nothing when that fails. One at a
   * time: calls that come while one goes on share the next, which finds what they want to see loaded.
   */
  reload(): Promise<void> {
    this.#nextReload ??= (async () => {
      await this.#reloading?.catch(() => {});
      this.#nextReload = undefined;
      this.#reloading = this.#reloadNow();
      await this.#reloading;
    })();
    return this.#nextReload;
  }

  /** Gives the model up, whatever it does: it is neither leased nor closed any more. */
  lose(error: ServerError): void {
    this.#lost = error;
  }

  async #reloadNow(): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#loading !== undefined) await this.#loading.catch(() => {});
    const old = this.#held;
    if (old === undefined) return void (await this.#load(true));
    // It serves until the new one answers, so it must not leave for being idle.
    old.leases += 1;
    let model: Model;
    try {
      model = await this.#open();
    } catch (error) {
      throw toServerError(error);
    } finally {
      this.#release(old);
    }
    if (this.#held !== old) return model.close();
    this.#held = newHeld(model);
    await this.#retire(old);
  }

  #refuseWaiter(): void {
    if (this.#waiting < loadWaitersMax) return;
    const detail = 'The model is being loaded, and too many requests wait for it.';
    throw new ServerError('MODEL_NOT_READY', detail, { retryAfterMs: retryAfterMsMin });
  }

  async #load(again = false): Promise<Held<Model>> {
    if (this.#loading !== undefined) return this.#loading;
    const { failure } = this.#recentFailure(again);
    if (failure !== undefined) throw failure;
    const loading = this.#loadNow();
    this.#loading = loading;
    try {
      return await loading;
    } finally {
      this.#loading = undefined;
    }
  }

  async #loadNow(): Promise<Held<Model>> {
    this.#isLoading = true;
    try {
      // Two copies of a model may not fit into memory.
      if (this.#draining !== undefined) await this.#draining;
      this.#held = newHeld(await this.#open());
      this.#failure = undefined;
      this.#usedMs = performance.now();
      return this.#held;
    } catch (thrown) {
      const error = toServerError(thrown);
      this.#failure = { error, atMs: performance.now() };
      throw error;
    } finally {
      this.#isLoading = false;
    }
  }

  #recentFailure(again: boolean): { failure: ServerError | undefined } {
    if (again || this.#failure === undefined) return { failure: undefined };
    const waitMs = this.#failure.atMs + loadRetryMs - performance.now();
    if (waitMs <= 0) return { failure: undefined };
    const { error } = this.#failure;
    return { failure: new ServerError(error.code, error.message, { retryAfterMs: waitMs, cause: error }) };
  }

  #release(held: Held<Model>): void {
    held.leases -= 1;
    this.#usedMs = performance.now();
    if (held.leases > 0) return;
    for (const resolve of held.whenIdle.splice(0)) resolve();
    if (!held.retired) this.#onIdle();
  }

  async #retire(held: Held<Model>): Promise<void> {
    held.retired = true;
    if (held.leases > 0) await new Promise<void>((resolve) => held.whenIdle.push(resolve));
    await held.model.close();
  }
}

function newHeld<Model>(model: Model): Held<Model> {
  return { model, leases: 0, retired: false, whenIdle: [] };
}
