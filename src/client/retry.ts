// When to try again: what the server asks for, else twice as long each time, never all clients at once.
import { ConnectionError, RequestError } from './errors.ts';

export type RetryOptions = {
  /** Tries after the first; 0 for none. */
  readonly retries: number;
  /** A server that asks for a longer wait is not waited for. */
  readonly retryWaitMsMax: number;
};

const backoffMs = 250;
/** Of the wait that the server asks for, added by chance. */
const jitterShare = 0.25;

/** Runs `work` until it succeeds, fails for good, or has been tried often enough. `signal` ends the waiting. */
export async function withRetries<Value>(work: () => Promise<Value>, options: RetryOptions, signal?: AbortSignal): Promise<Value> {
  for (let tried = 0; ; tried += 1) {
    try {
      return await work();
    } catch (error) {
      const wait = waitMs(error, tried);
      if (wait === undefined || tried >= options.retries || wait > options.retryWaitMsMax) throw error;
      await sleep(wait, signal);
    }
  }
}

/** Undefined when a retry makes no sense. */
export function waitMs(error: unknown, tried: number, random: () => number = Math.random): number | undefined {
  if (error instanceof RequestError) {
    if (!error.canRetry) return undefined;
    if (error.retryAfterMs !== undefined) return error.retryAfterMs * (1 + jitterShare * random());
  } else if (!(error instanceof ConnectionError)) {
    return undefined;
  }
  return backoffMs * 2 ** tried * random();
}

export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(reasonOf(signal));
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(reasonOf(signal!));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

export function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error('The request was aborted.');
}
