// Closed-loop load on a running server: a client thread of its own, and whose CPU time the measurement used.
import type { RecordableHistogram } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { cpuMark, cpuSince } from './cpu.ts';
import type { LoadAnswer, LoadMessage, LoadOrder } from './load-client.ts';
import type { Profile } from './corpus.ts';
import type { ChildServer } from './server.ts';

/** How the texts arrive: `32x1` is 32 connections with one text a request. */
export type LoadShape = { readonly connections: number; readonly textsPerRequest: number };
export const loadShapes: readonly LoadShape[] = [
  { connections: 32, textsPerRequest: 1 },
  { connections: 4, textsPerRequest: 32 },
];

export type LoadMeasure = {
  readonly textsPerSecond: number;
  readonly requestsPerSecond: number;
  readonly latencyMicros: RecordableHistogram;
  readonly answerBytes: number;
  /** Cores kept busy by the client and by the server. */
  readonly clientCores: number;
  readonly serverCores: number;
  readonly foreignCores: number | undefined;
};

export type LoadTarget = { readonly server: ChildServer; readonly path: string; readonly model: string };

/** One client thread; it measures one thing at a time. */
export class LoadClient {
  readonly #worker = new Worker(new URL('./load-client.js', import.meta.url));
  readonly #nextText: Record<Profile, number> = { short: 0, mixed: 0, long: 0 };

  /** `expectedRate` (texts a second) says how many requests to build before the clock starts. */
  async measure(
    target: LoadTarget,
    profile: Profile,
    shape: LoadShape,
    seconds: number,
    expectedRate: number,
  ): Promise<LoadMeasure> {
    const requests = (expectedRate * (seconds + 2)) / shape.textsPerRequest;
    return this.#send(target, {
      ...shape,
      port: target.server.port,
      path: target.path,
      model: target.model,
      profile,
      firstText: this.#nextText[profile],
      warmupMs: Math.min(500, seconds * 250),
      measureMs: seconds * 1000,
      requestsAhead: Math.ceil(requests) + shape.connections,
      repeat: false,
    });
  }

  /** The same few short requests again and again, for a server that only shows how fast a server can be. */
  measureRepeating(target: LoadTarget, shape: LoadShape, seconds: number): Promise<LoadMeasure> {
    return this.#send(target, {
      ...shape,
      port: target.server.port,
      path: target.path,
      model: target.model,
      profile: 'short',
      firstText: 0,
      warmupMs: 500,
      measureMs: seconds * 1000,
      requestsAhead: 256,
      repeat: true,
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  async #send(target: LoadTarget, order: LoadOrder): Promise<LoadMeasure> {
    await this.#answer({ order });
    const mark = cpuMark([target.server.pid]);
    const answer = await this.#answer('go');
    const use = cpuSince(mark);
    if (typeof answer === 'string') throw new Error(answer);
    if ('error' in answer) throw new Error(answer.error);
    const { result } = answer;
    if (!order.repeat) this.#nextText[order.profile] = result.nextText;
    return {
      textsPerSecond: result.requestsPerSecond * order.textsPerRequest,
      requestsPerSecond: result.requestsPerSecond,
      latencyMicros: result.latencyMicros,
      answerBytes: result.answerBytes,
      clientCores: use.cores.get(process.pid) ?? 0,
      serverCores: use.cores.get(target.server.pid) ?? 0,
      foreignCores: use.foreignCores,
    };
  }

  #answer(message: LoadMessage): Promise<LoadAnswer> {
    return new Promise((resolve, reject) => {
      this.#worker.once('error', reject);
      this.#worker.once('message', (answer: LoadAnswer) => {
        this.#worker.off('error', reject);
        resolve(answer);
      });
      this.#worker.postMessage(message);
    });
  }
}
