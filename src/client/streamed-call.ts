// One request on a WebSocket: what has come and not been taken, and who waits for it.
import { errorOfFields } from './errors.ts';
import type { Tensor } from './frames.ts';
import { reasonOf } from './retry.ts';

export type Message = {
  /** `item`, `progress`, `chunk`, `summary` or `result`. */
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Of a binary message, by name: views of it. */
  readonly tensors: Readonly<Record<string, Tensor>>;
};

export type CallOptions = {
  readonly body?: unknown;
  /** What would stand in the path: `{ version: '1.0' }`. */
  readonly params?: Readonly<Record<string, string>>;
  /** Raw inputs, by field of the body or by JSON pointer into it. */
  readonly tensors?: Readonly<Record<string, Tensor>>;
  /** Answers with raw data instead of numbers as text. */
  readonly binary?: boolean;
  /** Goes on after a lost connection; the server then keeps no more than the reader is behind. */
  readonly resumable?: boolean;
  readonly signal?: AbortSignal;
};

/** What carries it. */
export type Carrier = {
  send(fields: object, tensors?: Readonly<Record<string, Tensor>>): void;
  ended(call: StreamedCall): void;
};

/** Messages, and bytes of them, taken before the server hears of it. It stops where a megabyte is not acknowledged. */
const acknowledgeEvery = 32;
const acknowledgeBytes = 256 * 1024;

/** Iterated once. Ends after the summary or the result, which is the last message. */
export class StreamedCall implements AsyncIterableIterator<Message> {
  readonly id: string;
  /** The summary or result, once it has been taken. */
  last: Message | undefined;
  readonly #op: string;
  readonly #options: CallOptions;
  readonly #carrier: Carrier;
  #messages: { readonly message: Message; readonly bytes: number }[] = [];
  /** Who waits for a message, in turn. */
  #waiting: (() => void)[] = [];
  #error: Error | undefined;
  #job: string | undefined;
  /** A server that has no room to let it be resumed sends parts without numbers. */
  #hasReceived = false;
  #receivedSeq = 0;
  #acknowledgedSeq = 0;
  #takenBytes = 0;
  #isStarted = false;
  #isOver = false;
  readonly #onAbort = (): void => this.#cancel(reasonOf(this.#options.signal!));

  constructor(id: string, op: string, options: CallOptions, carrier: Carrier) {
    this.id = id;
    this.#op = op;
    this.#options = options;
    this.#carrier = carrier;
    const { signal } = options;
    if (signal?.aborted === true) queueMicrotask(this.#onAbort);
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get canResume(): boolean {
    return this.#job !== undefined || (this.#options.resumable === true && !this.#hasReceived);
  }

  /** What cannot be sent fails this call alone: whoever starts it may be on the way to something else. */
  start(): void {
    this.#isStarted = true;
    const { body, params, tensors, binary, resumable } = this.#options;
    const fields = { id: this.id, op: this.#op, body, params, binary, resumable };
    try {
      this.#carrier.send(fields, tensors);
    } catch (thrown) {
      this.fail(thrown instanceof Error ? thrown : new TypeError(String(thrown)));
    }
  }

  /** On a new connection. What was never accepted is asked for again. */
  resume(): void {
    if (this.#job === undefined) return this.start();
    this.#carrier.send({ id: this.id, op: 'resume', job: this.#job, after: this.#receivedSeq });
  }

  /** @param bytes of the message as it came */
  receive(message: Message, bytes: number): void {
    if (this.#isOver) return;
    const { type, fields } = message;
    if (type === 'accepted') {
      this.#job = String(fields['job']);
      return;
    }
    if (type === 'error' || type === 'rejected') return this.fail(errorOfFields(fields['error']));
    if (typeof fields['seq'] === 'number') this.#receivedSeq = fields['seq'];
    this.#hasReceived = true;
    this.#messages.push({ message, bytes });
    if (isLast(message)) {
      // All has arrived, so the server need not wait for the reader.
      if (this.#job !== undefined) this.#carrier.send({ id: this.id, op: 'ack', seq: this.#receivedSeq });
      this.#end();
    }
    this.#wake();
  }

  fail(error: Error): void {
    if (this.#isOver) return;
    this.#error = error;
    this.#end();
    this.#wake();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Message, undefined>> {
    for (;;) {
      const next = this.#messages.shift();
      if (next !== undefined) {
        this.#taken(next.message, next.bytes);
        return { done: false, value: next.message };
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#isOver) return { done: true, value: undefined };
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Leaving a loop: cancels what is still to come. */
  return(): Promise<IteratorResult<Message, undefined>> {
    this.#cancel(undefined);
    this.#messages = [];
    return Promise.resolve({ done: true, value: undefined });
  }

  #taken(message: Message, bytes: number): void {
    const { seq } = message.fields;
    if (isLast(message)) this.last = message;
    if (typeof seq !== 'number' || this.#isOver) return;
    this.#takenBytes += bytes;
    if (seq - this.#acknowledgedSeq < acknowledgeEvery && this.#takenBytes < acknowledgeBytes) return;
    this.#acknowledgedSeq = seq;
    this.#takenBytes = 0;
    this.#carrier.send({ id: this.id, op: 'ack', seq });
  }

  #cancel(error: Error | undefined): void {
    if (this.#isOver) return;
    if (this.#isStarted) this.#carrier.send({ id: this.id, op: 'cancel' });
    this.#error = error;
    this.#end();
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #end(): void {
    this.#isOver = true;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#carrier.ended(this);
  }
}

function isLast({ type }: Message): boolean {
  return type === 'summary' || type === 'result';
}
