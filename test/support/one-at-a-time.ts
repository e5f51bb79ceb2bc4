// Work that only one process may do at a time: test files run side by side.
import { mkdirSync, rmdirSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** @param lock a folder that is there while the work runs. Whoever was killed loses it after `msMax`. */
export async function oneAtATime<Value>(lock: string, msMax: number, run: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch {
      const { mtimeMs } = statSync(lock, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
      if (Date.now() - mtimeMs > msMax) rmdirSync(lock);
      await sleep(100);
    }
  }
  try {
    return await run();
  } finally {
    rmdirSync(lock);
  }
}
