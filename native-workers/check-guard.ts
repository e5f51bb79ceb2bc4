// The thread beside a model check that ends the whole process: native code that allocates or loops for ever leaves
// the main thread no chance to. It also ends a check whose server was killed.
import { workerData } from 'node:worker_threads';
import type { CheckSettings } from '../src/backend/check-protocol.ts';

/** Memory is filled at some gigabytes a second, so this bounds what goes beyond the limit to tens of megabytes. */
const lookMs = 10;

const { memoryBytesMax, timeMsMax } = workerData as CheckSettings;
const startedMs = performance.now();
const parent = process.ppid;

setInterval(() => {
  const isOver = process.memoryUsage.rss() > memoryBytesMax || performance.now() - startedMs > timeMsMax;
  if (isOver || process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
}, lookMs);
