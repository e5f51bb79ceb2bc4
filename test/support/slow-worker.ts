// A worker entry whose tasks take as long as they say.
import { parentPort, threadId, workerData } from 'node:worker_threads';
import type { PoolSettings, WorkerSettled } from '../../src/backend/protocol.ts';

export type SlowTask = { readonly taskMs: number };

const { workerCounter } = workerData as PoolSettings;
const worker = Atomics.add(new Int32Array(workerCounter), 0, 1);
parentPort?.postMessage({ settledThread: threadId } satisfies WorkerSettled);

export default function answer({ taskMs }: SlowTask): { ok: true; worker: number; fallback: undefined } {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, taskMs);
  return { ok: true, worker, fallback: undefined };
}
