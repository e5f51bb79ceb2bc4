// Waiting on a condition: a test neither sleeps longer than it must nor waits for ever.
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves with the milliseconds it took; fails the test when the condition does not come true in time. */
export async function until(
  condition: () => boolean | Promise<boolean>, what: string, timeoutMs = 10_000,
): Promise<number> {
  const startedMs = performance.now();
  while (!(await condition())) {
    if (performance.now() - startedMs > timeoutMs) throw new Error(`Waited ${timeoutMs} ms in vain until ${what}.`);
    await sleep(2);
  }
  return performance.now() - startedMs;
}
