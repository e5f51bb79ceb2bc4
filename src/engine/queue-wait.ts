// How long a request may wait in the queue of an embedding model.
import { queueTimeout } from '../backend/tensor-backend.ts';
import type { Waiter } from '../batch/job.ts';

/**
 * Computes for `waiter`, who leaves when none of the inputs has gone to a worker within `queueMsMax`: that rejects with
 * TIMEOUT. Once one has, the request is running and takes as long as it takes. Undefined waits.
 */
export async function waitInQueue<Value>(
  queueMsMax: number | undefined, waiter: Waiter, compute: (waiter: Waiter) => Promise<Value>,
): Promise<Value> {
  if (queueMsMax === undefined) return compute(waiter);
  const patient = new PatientWaiter(waiter, performance.now() + queueMsMax);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    // One more, since timers round down: whoever is told so is late.
    timer = setTimeout(() => patient.isLate && reject(queueTimeout()), Math.ceil(queueMsMax) + 1);
  });
  try {
    return await Promise.race([compute(patient), late]);
  } catch (error) {
    // The queue may have dropped it before the timer came.
    throw patient.isLate && !waiter.cancelled ? queueTimeout() : error;
  } finally {
    clearTimeout(timer);
  }
}

class PatientWaiter implements Waiter {
  readonly deadlineMs?: number;
  readonly batchInputsMax: number | undefined;
  readonly #waiter: Waiter;
  readonly #startMsMax: number;
  #hasStarted = false;

  constructor(waiter: Waiter, startMsMax: number) {
    this.#waiter = waiter;
    this.#startMsMax = startMsMax;
    this.batchInputsMax = waiter.batchInputsMax;
    if (waiter.deadlineMs !== undefined) this.deadlineMs = waiter.deadlineMs;
  }

  get isLate(): boolean {
    return !this.#hasStarted && performance.now() > this.#startMsMax;
  }

  get cancelled(): boolean {
    return this.#waiter.cancelled || this.isLate;
  }

  started(): void {
    this.#hasStarted = true;
  }

  completed(index: number, row: Float32Array, tokensGiven: number, tokensKept: number): void {
    this.#waiter.completed?.(index, row, tokensGiven, tokensKept);
  }
}
