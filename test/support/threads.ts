// The worker threads that a test's own code starts.
import type { TestContext } from 'node:test';
import type { Worker } from 'node:worker_threads';

/** Those started from now on, in their order; each is told with whether it has ended. */
export function watchThreads(t: TestContext): { readonly worker: Worker; hasEnded: boolean }[] {
  const threads: { readonly worker: Worker; hasEnded: boolean }[] = [];
  const started = (worker: Worker): void => {
    const thread = { worker, hasEnded: false };
    threads.push(thread);
    worker.on('exit', () => (thread.hasEnded = true));
  };
  process.on('worker', started);
  t.after(() => process.off('worker', started));
  return threads;
}
