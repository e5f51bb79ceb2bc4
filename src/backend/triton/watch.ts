// Whether the models of a Triton server answer, asked again and again. Nobody is refused for long after it is back.
//
//   unknown --answers ready--> up --says no, or is not there--> down --answers ready--> up
//                               \--silent three times--> down, connections made anew
import { status, type ServiceError } from '@grpc/grpc-js';
import { tritonPollMs, tritonPollTimeoutMs, tritonSilencesMax } from '../../limits.ts';
import type { TritonClient } from './client.ts';

export type WatchedState = 'unknown' | 'up' | 'down';

/** Told of changes only. `cause` is why a model went down: an error, or undefined when Triton itself says no. */
export type WatchObserver = { changed(name: string, state: 'up' | 'down', cause: unknown): void };

type Watched = { state: WatchedState; silences: number; checkMs: number };

export class TritonWatch {
  readonly #client: TritonClient;
  readonly #observer: WatchObserver;
  readonly #models: ReadonlyMap<string, Watched>;
  #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> | undefined;
  #closed = false;

  constructor(client: TritonClient, names: readonly string[], observer: WatchObserver) {
    this.#client = client;
    this.#observer = observer;
    this.#models = new Map(names.map((name) => [name, { state: 'unknown', silences: 0, checkMs: 0 }]));
    void this.check();
  }

  state(name: string): WatchedState {
    return this.#models.get(name)?.state ?? 'unknown';
  }

  /** How long the last look took. */
  checkMs(name: string): number {
    return this.#models.get(name)?.checkMs ?? 0;
  }

  /** Looks now: whoever failed to reach Triton knows before the next turn. Never rejects. */
  check(): Promise<void> {
    this.#checking ??= this.#checkAll().finally(() => {
      this.#checking = undefined;
      if (this.#closed) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.check(), tritonPollMs);
      this.#timer.unref();
    });
    return this.#checking;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #checkAll(): Promise<void> {
    await Promise.all([...this.#models].map(([name, watched]) => this.#checkModel(name, watched)));
    if (this.#closed || [...this.#models.values()].every(({ silences }) => silences < tritonSilencesMax)) return;
    for (const watched of this.#models.values()) watched.silences = 0;
    this.#client.reconnect();
  }

  async #checkModel(name: string, watched: Watched): Promise<void> {
    const startedMs = performance.now();
    try {
      const asked = [this.#client.isServerReady(tritonPollTimeoutMs), this.#client.isModelReady(name, tritonPollTimeoutMs)];
      const isReady = (await Promise.all(asked)).every(Boolean);
      watched.silences = 0;
      this.#set(name, watched, isReady ? 'up' : 'down', undefined);
    } catch (error) {
      // A busy machine may be late once; a server that is not there says so at once.
      if ((error as Partial<ServiceError>).code === status.DEADLINE_EXCEEDED) watched.silences += 1;
      else watched.silences = 0;
      if (watched.silences === 0 || watched.silences >= tritonSilencesMax) this.#set(name, watched, 'down', error);
    } finally {
      watched.checkMs = performance.now() - startedMs;
    }
  }

  #set(name: string, watched: Watched, state: 'up' | 'down', cause: unknown): void {
    if (this.#closed || watched.state === state) return;
    watched.state = state;
    this.#observer.changed(name, state, cause);
  }
}
