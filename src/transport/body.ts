// Collects one request body. Invariants: the bytes held for all requests stay within the budget, and a chunk is not
// used after push returns, because uWebSockets.js detaches it then.
import type { ByteBudget } from '../byte-budget.ts';
import { ServerError } from '../errors.ts';

/** When the budget is spent, a client may come back after this. */
const overloadRetryMs = 1000;
const capacityBytesMin = 64 * 1024;

export class BodyCollector {
  /** In bytes, -1 when it is not declared. */
  readonly #contentLength: number;
  readonly #bytesMax: number;
  readonly #budget: ByteBudget;
  readonly #isOwned: boolean;
  readonly #offset: number;
  #held: Uint8Array | undefined;
  #length = 0;
  #taken = 0;

  /** @param offsetBytes makes the body own its memory, beginning so far after the start of its buffer */
  constructor(contentLength: number, bytesMax: number, budget: ByteBudget, offsetBytes?: number) {
    this.#contentLength = contentLength;
    this.#bytesMax = bytesMax;
    this.#budget = budget;
    this.#isOwned = offsetBytes !== undefined;
    this.#offset = offsetBytes ?? 0;
  }

  /** Whether the finished body is the last chunk itself, which lives only until the onData callback returns. */
  get isView(): boolean {
    return this.#held === undefined;
  }

  /** The whole body once it is there. Throws ServerError when it is or gets too large. */
  push(chunk: ArrayBuffer, isLast: boolean): Uint8Array | undefined {
    const length = this.#length + chunk.byteLength;
    if (length > this.#bytesMax) throw bodyTooLarge(this.#bytesMax);
    // Received bytes count, not declared ones: a client could claim the whole budget with one header.
    if (!this.#budget.take(chunk.byteLength)) throw overloaded();
    this.#taken += chunk.byteLength;
    if (isLast && this.#length === 0 && !this.#isOwned) return new Uint8Array(chunk);
    if (chunk.byteLength > 0) this.#append(new Uint8Array(chunk), length);
    if (!isLast) return undefined;
    return this.#held?.subarray(0, length) ?? new Uint8Array(0);
  }

  /** Gives back what was taken of the budget; harmless when repeated. */
  release(): void {
    this.#budget.give(this.#taken);
    this.#taken = 0;
    this.#held = undefined;
  }

  #append(chunk: Uint8Array, length: number): void {
    if (this.#held === undefined) {
      // Pages that nobody writes to cost no memory, so a declared length may be believed up to the maximum.
      this.#held = this.#allocate(this.#contentLength >= 0 ? this.#contentLength : this.#capacityFor(length));
    } else if (length > this.#held.byteLength) {
      const larger = this.#allocate(this.#capacityFor(length));
      larger.set(this.#held.subarray(0, this.#length));
      this.#held = larger;
    }
    this.#held.set(chunk, this.#length);
    this.#length = length;
  }

  /** Its own memory, never a slice of Node's pool: decoders may transfer it to another thread. */
  #allocate(bytes: number): Uint8Array {
    return Buffer.allocUnsafeSlow(this.#offset + bytes).subarray(this.#offset);
  }

  #capacityFor(length: number): number {
    return Math.min(Math.max(2 * length, capacityBytesMin), this.#bytesMax);
  }
}

export function bodyTooLarge(bytesMax: number): ServerError {
  return new ServerError('REQUEST_TOO_LARGE', `The request body is larger than ${bytesMax} bytes.`);
}

export function overloaded(): ServerError {
  return new ServerError('OVERLOADED', undefined, { retryAfterMs: overloadRetryMs });
}
