// The thread of all graphs, started when the first partition is large.
// To end the process while the addon works aborts it: whoever opened a cache closes it first, which waits for the thread.
// Invariant: where the addon is missing or its thread has died, there are no graphs, and whoever asks scans.
import { AskedThread } from '../../storage/asked-thread.ts';
import { Graph } from './graph.ts';
import type { GraphRequest } from './graph-thread.ts';

type Log = { warn(fields: Record<string, unknown>, message: string): void };

export class Graphs {
  readonly #log: Log;
  readonly rowsMin: number;
  #thread: Promise<AskedThread<GraphRequest> | undefined> | undefined;
  #numbers = 0;
  #closed = false;

  /** `rowsMin`: partitions with fewer rows are scanned. */
  constructor(rowsMin: number, log: Log) {
    this.rowsMin = rowsMin;
    this.#log = log;
  }

  /** An empty graph; undefined where there can be none. */
  async open(dimension: number, rows: number, row: (slot: number) => Float32Array, failed: () => void): Promise<Graph | undefined> {
    const made = await this.#make(row, failed);
    if (made === undefined) return undefined;
    await made.thread.ask({ kind: 'open', graph: made.number, dimension, rows });
    return made.graph;
  }

  /** One that load() will fill. */
  async blank(row: (slot: number) => Float32Array, failed: () => void): Promise<Graph | undefined> {
    return (await this.#make(row, failed))?.graph;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#thread)?.end();
  }

  async #make(row: (slot: number) => Float32Array, failed: () => void) {
    if (this.#closed) return undefined;
    this.#thread ??= this.#start();
    const thread = await this.#thread;
    if (thread === undefined || thread.gone) return undefined;
    const number = this.#numbers++;
    const graph = new Graph(thread, number, row, (error) => {
      if (!this.#closed) this.#log.warn({ err: error }, 'a graph of the semantic cache is lost; its rows are scanned');
      failed();
    });
    return { thread, number, graph };
  }

  async #start(): Promise<AskedThread<GraphRequest> | undefined> {
    const thread = new AskedThread<GraphRequest>('semantic graphs', new URL('./graph-thread.js', import.meta.url), undefined);
    try {
      await thread.ask({ kind: 'start' });
      return thread;
    } catch (error) {
      this.#log.warn({ err: error }, 'hnswlib-node cannot be loaded: large partitions of the semantic cache are scanned, which is exact and slower');
      await thread.end();
      return undefined;
    }
  }
}
