// Sends a body that is made while it is sent. Invariants: the next chunk is pulled only when the socket has taken the
// last one, and nothing touches the response once it is closed.
import type { HttpResponse } from 'uWebSockets.js';
import type { ReplyStream } from '../operation.ts';

export class StreamedReply {
  readonly #response: HttpResponse;
  readonly #lengthBytes: number | undefined;
  readonly #chunks: AsyncIterator<string | Uint8Array>;
  #sentBytes = 0;
  #isOpen = true;
  /** What of the chunk in hand the socket has not taken yet, and how its sender goes on. */
  #rest: Uint8Array | undefined;
  #onWritable: (() => void) | undefined;

  constructor(response: HttpResponse, stream: ReplyStream) {
    this.#response = response;
    this.#lengthBytes = stream.lengthBytes;
    this.#chunks = stream.chunks[Symbol.asyncIterator]();
  }

  /**
   * Called in the cork that wrote the head. Resolves to whether the response must still be ended, when all is handed
   * over or the response was closed under it; rejects when the body broke off, and then the connection must be cut.
   */
  async send(): Promise<boolean> {
    this.#response.onWritable((offset) => this.#writable(offset));
    for (;;) {
      const { done, value } = await this.#chunks.next();
      if (!this.#isOpen) return false;
      if (done === true) break;
      if (value.length > 0 && !this.#write(typeof value === 'string' ? Buffer.from(value) : value)) await this.#drained();
      if (!this.#isOpen) return false;
    }
    if (this.#lengthBytes !== undefined && this.#sentBytes !== this.#lengthBytes) throw new Error('The body is not as long as announced.');
    // A body of a known length ended with its last byte.
    return this.#lengthBytes === undefined || this.#lengthBytes === 0;
  }

  /** The response is gone: gives up what is still to come. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onWritable?.();
    // A generator that waits inside notices when its wait ends.
    this.#chunks.return?.().catch(() => {});
  }

  /** False when the socket holds it back. */
  #write(bytes: Uint8Array): boolean {
    this.#sentBytes += bytes.byteLength;
    if (this.#sentBytes > (this.#lengthBytes ?? Infinity)) throw new Error('The body is longer than announced.');
    let taken = true;
    this.#response.cork(() => {
      if (this.#lengthBytes === undefined) {
        taken = this.#response.write(bytes);
        return;
      }
      const [whole, ended] = this.#response.tryEnd(bytes, this.#lengthBytes);
      taken = whole || ended;
      if (!taken) this.#rest = bytes;
    });
    return taken;
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => (this.#onWritable = resolve));
  }

  /** `offset` counts from the start of the body, so it says how much of the chunk in hand was taken. */
  #writable(offset: number): boolean {
    if (!this.#isOpen) return true;
    if (this.#rest !== undefined) {
      const start = this.#rest.byteLength - (this.#sentBytes - offset);
      const [whole, ended] = this.#response.tryEnd(this.#rest.subarray(start), this.#lengthBytes!);
      if (!whole && !ended) return false;
      this.#rest = undefined;
    }
    this.#onWritable?.();
    return true;
  }
}
