// A request body that is read while it comes. Invariants: what waits for the reader is bounded, because the socket is
// paused above a mark; chunks are copies, because uWebSockets.js detaches its own.
import type { HttpResponse } from 'uWebSockets.js';
import { ServerError } from '../errors.ts';
import { bodyTooLarge } from './body.ts';

const pausedAboveBytes = 1024 * 1024;
const resumedBelowBytes = 256 * 1024;

export class BodyStream implements AsyncIterable<Uint8Array> {
  readonly #response: HttpResponse;
  readonly #bytesMax: number;
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
  constructor(response: HttpResponse, bytesMax: number) {
    this.#response = response;
    this.#bytesMax = bytesMax;
    response.onData((chunk, isLast) => this.#push(chunk, isLast));
  }

  /** For one reader, once. Throws REQUEST_TOO_LARGE, or CANCELLED when the client left. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      const chunk = this.#waiting.shift();
      if (chunk !== undefined) {
        this.#waitingBytes -= chunk.byteLength;
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
    if (this.#state === 'ended') return true;
    this.#state = 'discarded';
    this.#discardedBytesLeft = bytesMax;
    this.#waiting.length = 0;
    this.#resume();
    await new Promise<void>((resolve) => (this.#onEnd = resolve));
    return this.#discardedBytesLeft >= 0;
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
    if (this.#receivedBytes > this.#bytesMax) {
      this.#fail(bodyTooLarge(this.#bytesMax));
    } else if (chunk.byteLength > 0) {
      this.#waiting.push(new Uint8Array(chunk.slice(0)));
      this.#waitingBytes += chunk.byteLength;
      if (this.#waitingBytes > pausedAboveBytes && !isLast) this.#pause();
    }
    if (isLast) this.#end();
    else this.#wakeReader();
  }

  #fail(error: ServerError): void {
    this.#error ??= error;
    this.#waiting.length = 0;
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
