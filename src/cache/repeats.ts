// Requests that come again byte for byte: they are not parsed again, and their answers not written again. Only finds
// what was kept; whether an answer still holds, whoever kept it must see.
import { LRUCache } from 'lru-cache';
import { repeatedBodyBytesMax, repeatsBytesMax } from '../limits.ts';

/** Objects and the table's own entries: what one costs beside its key and its value. */
const overheadBytes = 600;

export class Repeats<Kept extends object> {
  readonly #kept: LRUCache<string, Kept>;

  constructor(bytesMax: number = repeatsBytesMax) {
    this.#kept = new LRUCache({ maxSize: bytesMax });
  }

  /** What a body is kept by: its bytes, each as a character. Undefined for bodies too long to be kept. */
  key(body: Uint8Array): string | undefined {
    if (body.byteLength > repeatedBodyBytesMax) return undefined;
    return Buffer.prototype.latin1Slice.call(body, 0, body.byteLength);
  }

  get(key: string): Kept | undefined {
    return this.#kept.get(key);
  }

  /** @param bytes what `kept` holds, without its key */
  keep(key: string, kept: Kept, bytes: number): void {
    this.#kept.set(key, kept, { size: key.length + bytes + overheadBytes });
  }
}
