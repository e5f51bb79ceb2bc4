// The recorder of the inference history: rows in, batches to a store. Stands beside the line, never in it.
// Invariant: record() neither throws nor waits, and the rows in memory, those being written included, never exceed
// the bound: the oldest that wait are dropped and counted. A store that fails is tried again until it works.
import { setTimeout as sleep } from 'node:timers/promises';
import { ServerError } from '../errors.ts';
import { historyBatchRows, historyBufferRowsMax, historyReadMsMax } from '../limits.ts';
import { TooSlow, within } from '../within.ts';
import { RowSource, type HistoryEntry } from './row.ts';
import { RowQueue } from './row-queue.ts';
import type { HistoryPage, HistoryQuery, HistoryStore } from './store.ts';

/** What a scrape shows of a history. */
export type HistoryMetrics = {
  written(rows: number): void;
  /** Lost: the buffer was full, or the server ended before the database came back. */
  dropped(rows: number): void;
  /** One attempt to open, write or prune the store failed; the rows still wait. */
  failed(): void;
  /** Called once; `read` gives the rows that wait, at any time. */
  pending(read: () => number): void;
};

export type HistoryOptions = {
  /** Called at the first use, and again after it failed. */
  readonly open: () => Promise<HistoryStore>;
  /** A row waits at most this long before it is written, while the store works. */
  readonly flushMs: number;
  readonly rowsMax: number;
  readonly ageMsMax: number;
  readonly metrics: HistoryMetrics;
  /** The log; it hears of a failing store at once, then once a minute, and when it works again. */
  readonly log: {
    warn(fields: Record<string, unknown>, message: string): void;
    info(fields: Record<string, unknown>, message: string): void;
  };
  /** Rows in memory at most. */
  readonly bufferRowsMax?: number;
  /** How long a page waits for the store, its opening included. */
  readonly readMsMax?: number;
};

const retryMsMax = 10_000;
const logEveryMs = 60_000;
const pruneEveryMs = 60_000;
const prunePauseMs = 10;
/** How long a page waits for the rows that were recorded before it. */
const pageWaitsMs = 100;

export class History {
  readonly #options: HistoryOptions;
  readonly #source = new RowSource();
  readonly #queue: RowQueue;
  #opening: Promise<HistoryStore> | undefined;
  #flushing: Promise<boolean> | undefined;
  #pruning: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pruneTimer: NodeJS.Timeout | undefined;
  #failures = 0;
  #loggedMs = -Infinity;
  #rowsSincePrune = 0;
  #closing = false;

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.#queue = new RowQueue(options.bufferRowsMax ?? historyBufferRowsMax);
    options.metrics.pending(() => this.#queue.size);
  }

  /** Rows in memory. */
  get pending(): number {
    return this.#queue.size;
  }

  /** Takes note of one request and returns at once. Never throws. After close() the row is dropped. */
  record(entry: HistoryEntry): void {
    try {
      if (this.#closing) return this.#options.metrics.dropped(1);
      const dropped = this.#queue.push(this.#source.row(entry));
      if (dropped > 0) this.#options.metrics.dropped(dropped);
      this.#schedule();
    } catch (bug) {
      this.#complain(bug, 'a row of the inference history could not be made');
    }
  }

  /** Rejects with BACKEND_FAILED when the store does not answer soon. Shows what was recorded before, if that is quick. */
  async page(query: HistoryQuery): Promise<HistoryPage> {
    // A store that fails is not made to fail once more for each reader.
    if (this.#queue.size > 0 && this.#failures === 0) {
      await atMost(pageWaitsMs, this.flush());
    }
    try {
      const late = new AbortController();
      const read = async () => (await this.#store()).page(query, late.signal);
      return await within(this.#options.readMsMax ?? historyReadMsMax, read, (error) => late.abort(error));
    } catch (error) {
      throw new ServerError('BACKEND_FAILED', 'The inference history is not available.', { cause: error });
    }
  }

  /** Writes what was recorded before the call. False when the store failed; the rows wait on. */
  async flush(): Promise<boolean> {
    for (let waiting = this.#queue.size; waiting > 0;) {
      const before = this.#queue.removed;
      if (!(await this.#flushOnce())) return false;
      waiting -= this.#queue.removed - before;
    }
    return true;
  }

  /** Writes what waits, for at most so long, and closes the store. Rows that are left are counted as dropped. */
  async close(deadlineMs: number): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#timer);
    clearInterval(this.#pruneTimer);
    const drained = this.#drain(performance.now() + deadlineMs).catch((error: unknown) => {
      this.#complain(error, 'the inference history could not be closed');
    });
    await atMost(deadlineMs, drained);
    const lost = this.#queue.size;
    if (lost === 0) return;
    this.#options.metrics.dropped(lost);
    this.#options.log.warn({ rows: lost }, 'the server ends before all rows of the inference history were written');
  }

  async #drain(untilMs: number): Promise<void> {
    while (!(await this.flush())) {
      if (performance.now() >= untilMs) break;
      await sleep(this.#options.flushMs, undefined, { ref: false });
    }
    await this.#pruning;
    // A store that never opened has nothing to close, and one that is opening is waited for by the deadline only.
    await (await this.#opening)?.close();
  }

  #schedule(): void {
    // While the store fails, only the timer of the next attempt counts: a full batch is no reason to hurry.
    if (this.#queue.size >= historyBatchRows && this.#failures === 0 && this.#flushing === undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      void this.#flushOnce();
      return;
    }
    if (this.#timer !== undefined || this.#flushing !== undefined) return;
    const { flushMs } = this.#options;
    const delayMs = this.#failures === 0 ? flushMs : Math.min(flushMs * 2 ** Math.min(this.#failures, 16), retryMsMax);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#flushOnce();
    }, delayMs).unref();
  }

  /** One batch; joins the one on its way. Never rejects. */
  #flushOnce(): Promise<boolean> {
    this.#flushing ??= this.#writeBatch().finally(() => {
      this.#flushing = undefined;
      if (this.#queue.size > 0 && !this.#closing) this.#schedule();
    });
    return this.#flushing;
  }

  async #writeBatch(): Promise<boolean> {
    const rows = this.#queue.take(historyBatchRows);
    if (rows.length === 0) return true;
    try {
      await (await this.#store()).append(rows);
    } catch (error) {
      this.#queue.putBack();
      this.#failed(error, 'the inference history cannot be written');
      return false;
    }
    this.#queue.forget();
    this.#options.metrics.written(rows.length);
    if (this.#failures > 0) this.#recovered();
    this.#rowsSincePrune += rows.length;
    if (this.#rowsSincePrune >= pruneAfterRows(this.#options.rowsMax)) this.#prune();
    return true;
  }

  #store(): Promise<HistoryStore> {
    this.#opening ??= this.#options.open().then((store) => {
      this.#pruneTimer ??= setInterval(() => this.#prune(), pruneEveryMs).unref();
      return store;
    });
    const opening = this.#opening;
    opening.catch(() => {
      if (this.#opening === opening) this.#opening = undefined;
    });
    return opening;
  }

  /** Starts to remove old rows, in steps with pauses, unless that is under way. */
  #prune(): void {
    if (this.#pruning !== undefined || this.#closing) return;
    this.#rowsSincePrune = 0;
    this.#pruning = this.#pruneSteps().finally(() => {
      this.#pruning = undefined;
    });
  }

  async #pruneSteps(): Promise<void> {
    const { rowsMax, ageMsMax } = this.#options;
    try {
      const store = await this.#store();
      while (!this.#closing && (await store.prune({ rowsMax, keepFromMs: Date.now() - ageMsMax })) > 0) {
        await sleep(prunePauseMs, undefined, { ref: false });
      }
    } catch (error) {
      this.#options.metrics.failed();
      this.#complain(error, 'old rows of the inference history cannot be removed');
    }
  }

  #failed(error: unknown, message: string): void {
    this.#failures += 1;
    this.#options.metrics.failed();
    this.#complain(error, message);
  }

  #recovered(): void {
    this.#failures = 0;
    this.#loggedMs = -Infinity;
    this.#options.log.info({ rows: this.#queue.size }, 'the inference history is written again');
  }

  #complain(error: unknown, message: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#loggedMs < logEveryMs) return;
    this.#loggedMs = nowMs;
    this.#options.log.warn({ err: error, rows: this.#queue.size }, message);
  }
}

/** Waits for `work`, but no longer than that. */
async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  try {
    await within(ms, () => work);
  } catch (error) {
    if (!(error instanceof TooSlow)) throw error;
  }
}

/** So that the store holds at most a hundredth, or two batches, more than it may. */
function pruneAfterRows(rowsMax: number): number {
  return Math.min(Math.max(rowsMax / 100, 1), 2 * historyBatchRows);
}
