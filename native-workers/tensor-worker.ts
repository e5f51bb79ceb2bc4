// The entry that Piscina loads in every worker thread of a tensor model: opens it once, then runs one task at a time.
// Invariant: nothing is thrown across the thread, since structured clone would lose an error's code.
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import type { Failure, WorkerSettled } from '../src/backend/protocol.ts';
import type {
  TensorReply,
  TensorWorkerReply,
  TensorWorkerSettings,
  TensorWorkerTask,
} from '../src/backend/tensor-protocol.ts';
import { TensorSession } from './tensor-session.ts';

// At top level: Piscina reports a worker ready once its file is evaluated, so a ready worker is a loaded one.
const settings = workerData as TensorWorkerSettings;
const worker = Atomics.add(new Int32Array(settings.workerCounter), 0, 1);
const session = await load();
const failure = session instanceof TensorSession ? undefined : session;
parentPort?.postMessage({ settledThread: threadId, failure } satisfies WorkerSettled);

export default async function answer(task: TensorWorkerTask): Promise<TensorWorkerReply> {
  if (!(session instanceof TensorSession)) {
    // It took the place of one that died. Failing is fast, so it would draw most tasks for as long as the pool lives.
    if (task.kind !== 'describe') process.exit(1);
    return session;
  }
  try {
    return task.kind === 'run' ? transferred(await session.run(task)) : { ...session.describe(), worker };
  } catch (error) {
    return failureOf(error, 'BACKEND_FAILED', 'The model failed to run.');
  }
}

async function load(): Promise<TensorSession | Failure> {
  const { devices, ...rest } = settings;
  try {
    const device = devices[worker % devices.length] ?? 'cpu';
    return await TensorSession.open({ ...rest, device, foldQuantizedWeights: false });
  } catch (error) {
    return failureOf(error, 'MODEL_NOT_READY', 'The model could not be loaded.');
  }
}

/** ONNX Runtime's text is for the log: it may hold paths. */
function failureOf(error: unknown, code: Failure['code'], detail: string): Failure {
  return { ok: false, code, detail, cause: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** Moves the results' memory to the main thread instead of copying it; two outputs may share some. */
function transferred(reply: TensorReply): TensorWorkerReply {
  const buffers = new Set(reply.outputs.flatMap(([, { data }]) => (Array.isArray(data) ? [] : [data.buffer])));
  return move({ [transferableSymbol]: [...buffers], [valueSymbol]: reply }) as unknown as TensorWorkerReply;
}
