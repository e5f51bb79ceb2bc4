// A bound on waiting.

export class TooSlow extends Error {}

/** Rejects with TooSlow when `step` takes longer; what it brings then is thrown away. */
export function within<Value>(waitMsMax: number, step: () => Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      // After a pause of our own the answer may lie in the socket: it is read before this runs.
      setImmediate(() => reject(new TooSlow()));
    }, waitMsMax);
    step()
      .then(resolve, reject)
      .finally(() => clearTimeout(timer));
  });
}
