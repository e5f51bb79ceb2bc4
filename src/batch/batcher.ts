// The batcher: inputs in, micro-batches to the workers, results back to their requests.
// Owns the queue, the workers' slots and the promises; what runs together is decided in select.ts.
// Invariants: at most `backend.concurrency` batches run; what runs is never stopped; a worker idles only
// when nothing waits.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Backend } from '../backend/backend.ts';
import type { EmbedInput, EmbedOptions, EmbedReply, EmbedTask } from '../backend/protocol.ts';
import { ServerError, toServerError } from '../errors.ts';
import { aloneWaitMsMax, retryAfterMsMax, retryAfterMsMin, selectionWindowInputs } from '../limits.ts';
import type { BatchFacts } from '../metrics.ts';
import { EmbedJob, type Embedded, type InputWatcher, type Waiter } from './job.ts';
import { LengthEstimate } from './length-estimate.ts';
import { FairQueue, type QueuedInput } from './queue.ts';
import { batchTokens, fillBatch, selectBatch } from './select.ts';

const alonePollMs = 5;

/** What the batcher tells the metrics. */
export type BatchObserver = {
  batchEnded(batch: BatchFacts): void;
  /** Inputs that left the queue without running. */
  inputsDropped(count: number): void;
};

export class Batcher {
  readonly #backend: Backend;
  readonly #queueTokensMax: number;
  readonly #observer: BatchObserver;
  readonly #queue = new FairQueue();
  readonly #estimate: LengthEstimate;
  readonly #tokensMs = { tokens: 0, ms: 0 };
  #running = 0;
  #runningTokens = 0;
  #scheduled = false;
  #paused = false;
  #idleWaiters: (() => void)[] = [];

  constructor(backend: Backend, queueTokensMax: number, observer: BatchObserver) {
    this.#backend = backend;
    this.#queueTokensMax = queueTokensMax;
    this.#observer = observer;
    this.#estimate = new LengthEstimate(backend.description.inputTokensMax);
  }

  get queuedInputs(): number {
    return this.#queue.length;
  }

  get queuedTokens(): number {
    return this.#queue.tokens;
  }

  get runningBatches(): number {
    return this.#running;
  }

  /** How long the input whose turn is next has waited. */
  get oldestWaitMs(): number {
    const first = this.#queue.window(1)[0];
    return first === undefined ? 0 : performance.now() - first.job.queuedMs;
  }

  /**
   * Embeds the inputs of one request, all with the same options. Throws QUEUE_FULL; rejects with CANCELLED or
   * what the backend says. A request larger than the whole queue is taken when nothing else waits.
   */
  embed(inputs: readonly EmbedInput[], options: EmbedOptions, waiter: Waiter, watcher?: InputWatcher): Promise<Embedded> {
    const job = new EmbedJob(inputs.length, waiter, watcher);
    const entries = inputs.map((input, index): QueuedInput => {
      const size = this.#estimate.measure(options.prompt === '' || typeof input !== 'string' ? input : options.prompt + input);
      return { job, index, input, options, size, tokens: this.#estimate.tokens(input, size), turn: 0 };
    });
    this.#admit(entries.reduce((sum, entry) => sum + entry.tokens, 0));
    this.#queue.push(entries);
    this.#schedule();
    return job.result;
  }

  /**
   * Runs `step` while no batch runs: in the next idle moment, or after a while between batches of a busy
   * server. What arrives meanwhile waits.
   */
  async alone<Value>(step: () => Promise<Value>): Promise<Value> {
    const nextMs = performance.now() + aloneWaitMsMax;
    while (this.#running > 0 || this.#queue.length > 0) {
      this.#paused = performance.now() >= nextMs;
      if (this.#paused && this.#running === 0) break;
      await sleep(alonePollMs);
    }
    this.#paused = true;
    try {
      return await step();
    } finally {
      this.#paused = false;
      this.#schedule();
    }
  }

  /** Resolves when nothing waits and nothing runs. */
  drained(): Promise<void> {
    if (this.#queue.length === 0 && this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #admit(tokens: number): void {
    if (this.#fits(tokens)) return;
    this.#drop(this.#queue.takeEnded());
    if (this.#fits(tokens)) return;
    throw new ServerError('QUEUE_FULL', `The queue holds ${this.#queue.tokens} tokens of at most ${this.#queueTokensMax}.`, {
      retryAfterMs: this.#retryAfterMs(),
    });
  }

  #fits(tokens: number): boolean {
    return this.#queue.length === 0 || this.#queue.tokens + tokens <= this.#queueTokensMax;
  }

  /** Half of the queue at the speed seen so far: then there is room again for some. */
  #retryAfterMs(): number {
    const { tokens, ms } = this.#tokensMs;
    const msPerToken = tokens > 0 ? ms / tokens / this.#backend.concurrency : 1;
    return Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, (this.#queue.tokens / 2) * msPerToken));
  }

  /** Waits for the end of the event loop's poll phase: requests that arrived together then run together. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    while (!this.#paused && this.#running < this.#backend.concurrency && this.#queue.length > 0) {
      const window = this.#queue.window(selectionWindowInputs);
      if (window.some((entry) => entry.job.hasEnded(entry.index))) {
        this.#drop(this.#queue.takeEnded());
        continue;
      }
      const cost = this.#backend.runCost;
      const tokens = { queued: this.#queue.tokens, running: this.#runningTokens };
      const { batchInputsMax, concurrency, description } = this.#backend;
      const tokensMax = batchInputsMax === undefined ? batchTokens(tokens, concurrency, cost.tokensMax) : cost.tokensMax;
      const inputsMax = (i: number) => Math.min(batchInputsMax ?? Infinity, window[i]!.job.batchInputsMax);
      const lengths = window.map((entry) => entry.tokens);
      const chosen = description.packs
        ? fillBatch(lengths, tokensMax, inputsMax)
        : selectBatch(lengths, { ...cost, tokensMax }, inputsMax);
      void this.#run(this.#queue.take(chosen));
    }
    if (this.#running === 0 && this.#queue.length === 0) {
      for (const resolve of this.#idleWaiters.splice(0)) resolve();
    }
  }

  async #run(batch: readonly QueuedInput[]): Promise<void> {
    const nowMs = performance.now();
    for (const { job, index } of batch) job.started(index, nowMs);
    const estimatedTokens = batch.reduce((sum, entry) => sum + entry.tokens, 0);
    this.#running += 1;
    this.#runningTokens += estimatedTokens;
    const outcomes = await this.#compute(batch);
    this.#running -= 1;
    this.#runningTokens -= estimatedTokens;
    // The freed worker gets its next batch before the answers are written.
    this.#dispatch();
    for (const { part, outcome } of outcomes) this.#answer(part, outcome, nowMs);
  }

  /**
   * What the model refuses may be one request's fault: a batch of several is then run again request by request, so
   * that each fails for its own input only. Never rejects.
   */
  async #compute(batch: readonly QueuedInput[]): Promise<{ part: readonly QueuedInput[]; outcome: EmbedReply | ServerError }[]> {
    const outcome = await this.#embed(batch);
    const isShared = batch.some(({ job }) => job !== batch[0]!.job);
    if (!isShared || !(outcome instanceof ServerError) || outcome.code !== 'BACKEND_FAILED') return [{ part: batch, outcome }];
    const outcomes = [];
    for (const job of new Set(batch.map((entry) => entry.job))) {
      const part = batch.filter((entry) => entry.job === job);
      outcomes.push({ part, outcome: await this.#embed(part) });
    }
    return outcomes;
  }

  #embed(batch: readonly QueuedInput[]): Promise<EmbedReply | ServerError> {
    const task: EmbedTask = {
      kind: 'embed',
      inputs: batch.map((entry) => entry.input),
      options: batch.map((entry) => entry.options),
      runCost: this.#backend.runCost,
    };
    // It is worth its time as long as anybody waits.
    return this.#backend.embed(task, Math.max(...batch.map(({ job, index }) => job.deadlineMs(index)))).catch(toServerError);
  }

  #answer(batch: readonly QueuedInput[], outcome: EmbedReply | ServerError, startedMs: number): void {
    const jobs = new Set(batch.map((entry) => entry.job));
    if (outcome instanceof ServerError) {
      for (const job of jobs) job.fail(outcome);
      return;
    }
    batch.forEach((entry, row) => entry.job.complete(entry.index, outcome, row, entry.options.dimension));
    for (const job of jobs) job.batchEnded(outcome);
    const tokens = outcome.tokensKept.reduce((sum, count) => sum + count, 0);
    this.#estimate.learn(batch.map((entry) => entry.size), outcome.tokensGiven);
    this.#tokensMs.tokens += tokens;
    this.#tokensMs.ms += performance.now() - startedMs;
    this.#observer.batchEnded({
      inputs: batch.length,
      tokens,
      tokensPadded: outcome.tokensPadded,
      runInputs: outcome.runInputs,
      tokenizeMs: outcome.tokenizeMs,
      runMs: outcome.runMs,
      queueMs: batch.map(({ job }) => startedMs - job.queuedMs),
    });
  }

  #drop(entries: readonly QueuedInput[]): void {
    if (entries.length === 0) return;
    for (const { job, index } of entries) job.dropped(index);
    this.#observer.inputsDropped(entries.length);
  }
}
