// The limit: what bare workers with the same model reach on this machine, with no server and no pool before them.
// An upper bound to hold the server against, so it knows all texts beforehand and cuts its runs perfectly.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { LimitAnswer, LimitOrder, LimitWorkerSettings } from './limit-worker.ts';
import type { BenchModel } from './models.ts';

/** How many workers, and how many threads each session computes with. */
export type Threads = { readonly workers: number; readonly intraOp: number };

/** Texts as runs, in the order of their length. */
export type Cut = {
  readonly runs: readonly (readonly string[])[];
  /** Padded tokens a run at most; 0 for one text a run. */
  readonly runTokens: number;
  /** Of one text, padding left out. */
  readonly tokensMean: number;
};

const cores = availableParallelism();

/** The settings that may be the fastest; never spinning, which loses everywhere but on an idle machine. */
export const threadChoices: readonly Threads[] =
  cores === 1
    ? [{ workers: 1, intraOp: 1 }]
    : [
        { workers: cores, intraOp: 1 },
        { workers: cores, intraOp: cores },
        { workers: 1, intraOp: cores },
      ];

/** `2x1`: two workers, one thread each. */
export function threadsName(threads: Threads): string {
  return `${threads.workers}x${threads.intraOp}`;
}

/** Bare workers with one model loaded. */
export class LimitPool {
  readonly threads: Threads;
  /** Of the last measurement. */
  lastTextsPerSecond = 0;
  readonly #workers: readonly Worker[];

  private constructor(threads: Threads, workers: readonly Worker[]) {
    this.threads = threads;
    this.#workers = workers;
  }

  static async start(model: BenchModel, threads: Threads): Promise<LimitPool> {
    const workerData: LimitWorkerSettings = {
      onnxFile: model.onnxFile,
      tokenizerFile: model.tokenizerFile,
      tokenizerConfigFile: model.tokenizerConfigFile,
      tokensMax: model.tokensMax,
      intraOpThreads: threads.intraOp,
    };
    const file = new URL('./limit-worker.js', import.meta.url);
    const workers = Array.from({ length: threads.workers }, () => new Worker(file, { workerData }));
    await Promise.all(workers.map(nextAnswer));
    return new LimitPool(threads, workers);
  }

  /** How many tokens the model sees of each text. */
  async countTokens(texts: readonly string[]): Promise<readonly number[]> {
    const worker = this.#workers[0]!;
    worker.postMessage({ kind: 'count', texts } satisfies LimitOrder);
    const answer = await nextAnswer(worker);
    return answer.kind === 'counted' ? answer.tokens : [];
  }

  /**
   * Texts a second over a cut's runs, repeated in turns by all workers until the time is over. Counted by tokens, since
   * the runs done when it is over may hold somewhat shorter or longer texts than all of them.
   */
  async measure(cut: Cut, seconds: number): Promise<number> {
    const order: LimitOrder = {
      kind: 'measure',
      runs: spread(cut.runs),
      cursor: new SharedArrayBuffer(4),
      warmupMs: Math.min(300, seconds * 250),
      measureMs: seconds * 1000,
    };
    const answers = this.#workers.map(nextAnswer);
    for (const worker of this.#workers) worker.postMessage(order);
    let tokensPerSecond = 0;
    for (const answer of await Promise.all(answers)) {
      if (answer.kind === 'measured') tokensPerSecond += (answer.tokens / answer.elapsedMs) * 1000;
    }
    this.lastTextsPerSecond = tokensPerSecond / cut.tokensMean;
    return this.lastTextsPerSecond;
  }

  /** Call only between measurements: a thread stopped inside native code takes the process with it. */
  async close(): Promise<void> {
    const ended = this.#workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
    for (const worker of this.#workers) worker.postMessage({ kind: 'close' } satisfies LimitOrder);
    await Promise.all(ended);
  }
}

/**
 * Texts sorted by length and cut into runs of at most `runTokens` padded tokens; 0 gives each text its own run.
 * @param windowTexts how many texts are known at a time: only those are sorted together, and shared among all workers
 */
export function cutRuns(
  texts: readonly string[], tokens: readonly number[], runTokens: number, windowTexts: number = texts.length,
): Cut {
  const runs: string[][] = [];
  for (let first = 0; first < texts.length; first += windowTexts) {
    const window = texts.slice(first, first + windowTexts).map((_, i) => first + i);
    const share = window.reduce((sum, i) => sum + tokens[i]!, 0) / cores;
    const size = windowTexts < texts.length ? Math.min(runTokens, Math.ceil(share)) : runTokens;
    runs.push(...cutWindow(window.sort((a, b) => tokens[a]! - tokens[b]!), tokens, size).map((run) => run.map((i) => texts[i]!)));
  }
  const tokensMean = tokens.reduce((sum, count) => sum + count, 0) / tokens.length;
  return { runs, runTokens: runs.length === texts.length ? 0 : runTokens, tokensMean };
}

/** @param order of ascending lengths: a newcomer is the longest of its run, and padding makes all as long as it */
function cutWindow(order: readonly number[], tokens: readonly number[], runTokens: number): number[][] {
  const runs: number[][] = [];
  let run: number[] = [];
  for (const i of order) {
    if (run.length > 0 && tokens[i]! * (run.length + 1) > runTokens) {
      runs.push(run);
      run = [];
    }
    run.push(i);
  }
  runs.push(run);
  return runs;
}

/** Short and long runs in turns, so that stopping anywhere in the list has done an average share of each. */
function spread<T>(items: readonly T[]): T[] {
  const count = items.length;
  let step = Math.max(1, Math.round(count * 0.618));
  while (commonDivisor(step, count) !== 1) step += 1;
  return items.map((_, i) => items[(i * step) % count]!);
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

function nextAnswer(worker: Worker): Promise<LimitAnswer> {
  return new Promise((resolve, reject) => {
    worker.once('message', onMessage);
    worker.once('error', onError);
    function onMessage(answer: LimitAnswer): void {
      worker.off('error', onError);
      resolve(answer);
    }
    function onError(error: Error): void {
      worker.off('message', onMessage);
      reject(error);
    }
  });
}
