// A worker entry whose threads differ: the first is there at once, the others take their time inside ONNX
// Runtime, where stopping a thread aborts the process.
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { InferenceSession } from 'onnxruntime-node';
import type { Failure, PoolSettings, WorkerSettled } from '../../src/backend/protocol.ts';

export type UnevenSettings = {
  readonly onnxFile: string;
  readonly loadMs: number;
  /** What the first says of itself, if it does not die of the question. */
  readonly first: 'failed' | 'dying' | 'ready';
  /** How many threads began to load natively, and how many ended it. */
  readonly loads: SharedArrayBuffer;
};

export type UnevenTask = { readonly kind: 'describe' | 'die' };

const settings = workerData as UnevenSettings & PoolSettings;
const worker = Atomics.add(new Int32Array(settings.workerCounter), 0, 1);
if (worker > 0) await loadSlowly();
parentPort?.postMessage({ settledThread: threadId } satisfies WorkerSettled);

export default function answer({ kind }: UnevenTask): Failure | { ok: true; worker: number; fallback: undefined } {
  const first = worker === 0 ? settings.first : 'ready';
  if (kind === 'die' || first === 'dying') process.exit(7);
  if (first === 'failed') return { ok: false, code: 'MODEL_NOT_READY', detail: 'The first worker has failed.' };
  return { ok: true, worker, fallback: undefined };
}

async function loadSlowly(): Promise<void> {
  const loads = new Int32Array(settings.loads);
  Atomics.add(loads, 0, 1);
  const endMs = performance.now() + settings.loadMs;
  while (performance.now() < endMs) await (await InferenceSession.create(settings.onnxFile)).release();
  Atomics.add(loads, 1, 1);
}
