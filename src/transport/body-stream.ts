// A request body that is read while it comes. Invariants: what waits for the reader counts in the server's budget and
// has a bound of its own; chunks are copies, because uWebSockets.js detaches its own.
//
// The socket is paused above a mark, but uWebSockets.js reads on as long as a fast client has its buffer full.
import type { HttpResponse } from 'uWebSockets.js';
import type { ByteBudget } from '../byte-budget.ts';
import { ServerError } from '../errors.ts';
import { streamWaitingBytesMax } from '../limits.ts';
import { bodyTooLarge, overloaded } from './body.ts';

const pausedAboveBytes = 1024 * 1024;
const resumedBelowBytes = 256 * 1024;

export class BodyStream implements AsyncIterable<Uint8Array> {
  readonly #response: HttpResponse;
  readonly #bytesMax: number;
  readonly #budget: ByteBudget;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #receivedBytes = 0;
  #isPaused = false;
  #state: 'open' | 'ended' | 'discarded' = 'open';
  #error: ServerError | undefined;
  #discardedBytesLeft = 0;
  #wake: (() => void) | undefined;
  #onEnd: (() => void) | undefined;

  /** Only while the handler runs. The response must be open whenever the socket is paused or resumed: see `close`. */
  constructor(response: HttpResponse, bytesMax: number, budget: ByteBudget) {
    this.#response = response;
    this.#bytesMax = bytesMax;
    this.#budget = budget;
    response.onData((chunk, isLast) => this.#push(chunk, isLast));
  }

  /** For one reader, once. Throws REQUEST_TOO_LARGE, OVERLOADED, or CANCELLED when the client left. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      const chunk = this.#waiting.shift();
      if (chunk !== undefined) {
        this.#give(chunk.byteLength);
        if (this.#waitingBytes < resumedBelowBytes) this.#resume();
        yield chunk;
      } else if (this.#state !== 'open') {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }

  /**
   * Throws away what still comes, so that the client reads the answer instead of failing to send. False when that
   * is more than `bytesMax`: then the connection is to be cut.
   */
  async discard(bytesMax: number): Promise<boolean> {
    this.release();
    if (this.#state === 'ended') return true;
    this.#state = 'discarded';
    this.#discardedBytesLeft = bytesMax;
    this.#resume();
    await new Promise<void>((resolve) => (this.#onEnd = resolve));
    return this.#discardedBytesLeft >= 0;
  }

  /** Gives up what waits, which nobody will read; harmless when repeated. */
  release(): void {
    this.#waiting.length = 0;
    this.#give(this.#waitingBytes);
  }

  /** The response is gone. */
  close(): void {
    if (this.#state !== 'ended') this.#fail(new ServerError('CANCELLED'));
    this.#isPaused = false;
    this.#end();
  }

  #push(chunk: ArrayBuffer, isLast: boolean): void {
    this.#receivedBytes += chunk.byteLength;
    if (this.#state === 'discarded') {
      this.#discardedBytesLeft -= chunk.byteLength;
      if (isLast || this.#discardedBytesLeft < 0) this.#end();
      return;
    }
    if (this.#state === 'ended') return;
    if (this.#receivedBytes > this.#bytesMax) this.#fail(bodyTooLarge(this.#bytesMax));
    else if (chunk.byteLength > 0 && this.#error === undefined) this.#hold(chunk, isLast);
    if (isLast) this.#end();
    else this.#wakeReader();
  }

  #hold(chunk: ArrayBuffer, isLast: boolean): void {
    if (this.#waitingBytes + chunk.byteLength > streamWaitingBytesMax || !this.#budget.take(chunk.byteLength)) {
      return this.#fail(overloaded());
    }
    this.#waiting.push(new Uint8Array(chunk.slice(0)));
    this.#waitingBytes += chunk.byteLength;
    if (this.#waitingBytes > pausedAboveBytes && !isLast) this.#pause();
  }

  #give(bytes: number): void {
    this.#waitingBytes -= bytes;
    this.#budget.give(bytes);
  }

  #fail(error: ServerError): void {
    this.#error ??= error;
    this.release();
    this.#wakeReader();
  }

  #end(): void {
    this.#state = 'ended';
    this.#wakeReader();
    this.#onEnd?.();
  }

  #wakeReader(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#response.pause();
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#response.resume();
  }
}
