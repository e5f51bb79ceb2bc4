// Trying again: what may pass is tried a bounded number of times, with waits that double.
import { hubRetryAfterMsMax, hubRetryWaitMsMax } from '../limits.ts';
import { HubError } from './hub-error.ts';

/** A failure that may pass. Never leaves `retrying`. */
export class Transient extends Error {
  override readonly name = 'Transient';
  /** What the server asked us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { readonly retryAfterMs?: number | undefined; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}

export type Patience = {
  readonly triesMax: number;
  readonly retryMs: number;
  readonly signal: AbortSignal | undefined;
};

/**
 * Runs `step` until it succeeds or throws anything but Transient. A step that calls `headway` has its
 * failures before that forgotten: a large file over a poor line comes in many pieces.
 */
export async function retrying<T>(step: (headway: () => void) => Promise<T>, patience: Patience): Promise<T> {
  let failures = 0;
  for (;;) {
    try {
      return await step(() => (failures = 0));
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      failures += 1;
      const tooLong = (error.retryAfterMs ?? 0) > hubRetryAfterMsMax;
      if (failures >= patience.triesMax || tooLong) throw givenUp(error, failures, tooLong);
      const waitMs = Math.min(patience.retryMs * 2 ** (failures - 1), hubRetryWaitMsMax);
      await sleep(Math.max(waitMs, error.retryAfterMs ?? 0), patience.signal);
    }
  }
}

/** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** Milliseconds of a Retry-After header, which is seconds or a date. */
export function retryAfterMs(header: string | null, nowMs: number = Date.now()): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(header)) return Number(header) * 1000;
  const dateMs = Date.parse(header);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}

function givenUp(error: Transient, failures: number, tooLong: boolean): HubError {
  const waits = tooLong ? ` It asks to wait ${Math.ceil(error.retryAfterMs! / 1000)} seconds.` : '';
  const tries = failures > 1 ? ` (${failures} tries)` : '';
  return new HubError('unavailable', `${error.message}${tries}.${waits}`, { cause: error.cause });
}
