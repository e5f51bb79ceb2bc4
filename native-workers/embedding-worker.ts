// The entry that Piscina loads in every worker thread: opens the model once, then answers tasks one at a time.
// Invariant: nothing is thrown across the thread, since structured clone would lose an error's code.
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import type { EmbedReply, Failure, WorkerReply, WorkerTask } from '../src/backend/protocol.ts';
import type { WorkerSettings, WorkerSettled } from '../src/backend/protocol.ts';
import { ServerError } from '../src/errors.ts';
import { Embedder } from './embedder.ts';

// At top level: Piscina reports a worker ready once its file is evaluated, so a ready worker is a loaded one.
const settings = workerData as WorkerSettings;
const worker = Atomics.add(new Int32Array(settings.workerCounter), 0, 1);
const embedder = await load();
const failure = embedder instanceof Embedder ? undefined : embedder;
parentPort?.postMessage({ settledThread: threadId, failure } satisfies WorkerSettled);

export default async function answer(task: WorkerTask): Promise<WorkerReply> {
  if (!(embedder instanceof Embedder)) {
    // It took the place of one that died. Failing is fast, so it would draw most tasks for as long as the pool lives.
    if (task.kind !== 'describe') process.exit(1);
    return embedder;
  }
  try {
    switch (task.kind) {
      case 'embed':
        return transferred(await embedder.embed(task));
      case 'probe':
        return await embedder.probe(task);
      case 'describe':
        return { ...embedder.describe(), worker };
    }
  } catch (error) {
    return failureOf(error, 'BACKEND_FAILED');
  }
}

async function load(): Promise<Embedder | Failure> {
  try {
    const { devices } = settings;
    return await Embedder.open(settings, devices[worker % devices.length] ?? 'cpu');
  } catch (error) {
    return failureOf(error, 'MODEL_NOT_READY');
  }
}

/** Only a ServerError's text is fit for clients; any other may hold paths. */
function failureOf(error: unknown, code: 'BACKEND_FAILED' | 'MODEL_NOT_READY'): Failure {
  if (error instanceof ServerError) return { ok: false, code: error.code, detail: error.message };
  const detail = code === 'BACKEND_FAILED' ? 'The model failed to run.' : 'The model could not be loaded.';
  return { ok: false, code, detail, cause: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** Moves the results' memory to the main thread instead of copying it. */
function transferred(reply: EmbedReply): WorkerReply {
  return move({
    [transferableSymbol]: [reply.rows.buffer, reply.tokensGiven.buffer, reply.tokensKept.buffer],
    [valueSymbol]: reply,
  }) as unknown as WorkerReply;
}
