// A bound on what many hold together, so that a burst cannot exhaust memory.
import assert from 'node:assert/strict';

/** Bytes are taken before they are held and given back once. */
export class ByteBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  fits(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bytesMax;
  }

  take(bytes: number): boolean {
    if (!this.fits(bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
    assert(this.#bytes >= 0, 'bytes were given back twice');
  }
}
