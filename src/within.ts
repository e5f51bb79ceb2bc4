// A bound on waiting.

export class TooSlow extends Error {}

/**
 * Rejects with TooSlow when `step` takes longer; what it brings then is thrown away.
 * @param onLate told first, to stop what can be stopped. The bound holds whether or not that helps.
 */
export function within<Value>(waitMsMax: number, step: () => Promise<Value>, onLate?: (error: TooSlow) => void): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      // After a pause of our own the answer may lie in the socket: it is read before this runs.
      setImmediate(() => {
        const error = new TooSlow(`No answer within ${waitMsMax} ms.`);
        onLate?.(error);
        reject(error);
      });
    }, waitMsMax);
    step()
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}
