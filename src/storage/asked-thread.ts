// A thread of its own for work that would block: what is asked of it, one question after the other.
// Invariant: every question gets exactly one answer; a failure is an answer, never the end of the thread.
import { parentPort, Worker } from 'node:worker_threads';

type Answer = { readonly number: number } & (
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string });
type Waiting = { resolve: (value: unknown) => void; reject: (error: Error) => void };
type Question<Request> = { readonly number: number; readonly request: Request };

/** The asking side. Asked `{ kind: 'close' }`, the thread ends by itself. */
export class AskedThread<Request extends { readonly kind: string }> {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #numbers = 0;
  #gone: Error | undefined;

  /** `name` is for the log and for debuggers; `entry` calls answerThread(). */
  constructor(name: string, entry: URL, workerData: unknown) {
    this.#worker = new Worker(entry, { workerData, name });
    // A thread that waits for questions must not keep the process.
    this.#worker.unref();
    this.#worker.on('message', (answer: Answer) => this.#settle(answer));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#fail(new Error(`The thread of the ${name} has ended.`));
        resolve();
      });
    });
  }

  get gone(): boolean {
    return this.#gone !== undefined;
  }

  /** Rejects when the thread says that it failed, and when it has ended. `transfer` is lost to the asker. */
  ask(request: Request | { kind: 'close' }, transfer: readonly ArrayBuffer[] = []): Promise<unknown> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone);
    return new Promise((resolve, reject) => {
      const number = this.#numbers++;
      this.#waiting.set(number, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ number, request }, [...transfer]);
    });
  }

  /** Lets the thread end by itself: to stop it inside native code would abort the process. */
  async end(): Promise<void> {
    await this.ask({ kind: 'close' }).catch(() => undefined);
    this.#worker.ref();
    await this.#exited;
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.number);
    this.#waiting.delete(answer.number);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (answer.ok) waiting?.resolve(answer.value);
    else waiting?.reject(new Error(answer.message));
  }

  #fail(error: Error): void {
    this.#gone ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#gone);
    this.#waiting.clear();
  }
}

/** The answering side, called once in the thread. After a `close` was answered the thread ends. */
export function answerThread<Request extends { readonly kind: string }>(perform: (request: Request) => unknown): void {
  const port = parentPort!;
  const answer = async ({ number, request }: Question<Request>): Promise<void> => {
    let reply: Answer;
    try {
      reply = { number, ok: true, value: await perform(request) };
    } catch (error) {
      reply = { number, ok: false, message: error instanceof Error ? error.message : String(error) };
    }
    port.postMessage(reply);
    if (request.kind === 'close') port.close();
  };
  port.on('message', (question: Question<Request>) => void answer(question));
}
