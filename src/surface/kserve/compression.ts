// Compressed bodies, in and out, beside the event loop.
// Invariants: nothing inflates beyond the size that a plain body may have, and no more of it is in memory at once
// than bodies may be.
import { promisify } from 'node:util';
import { constants, deflate, gunzip, gzip, inflate } from 'node:zlib';
import { ServerError } from '../../errors.ts';

export const contentEncodings = ['gzip', 'deflate'] as const;
export type ContentEncoding = (typeof contentEncodings)[number];

const unpack = { gzip: promisify(gunzip), deflate: promisify(inflate) };
const pack = { gzip: promisify(gzip), deflate: promisify(deflate) };

const busyRetryMs = 1000;

export class Inflater {
  readonly #bytesMax: number;
  readonly #countMax: number;
  #count = 0;

  /** @param bytesMax of one body @param bytesInFlightMax of all that are inflated at the same time */
  constructor(bytesMax: number, bytesInFlightMax: number) {
    this.#bytesMax = bytesMax;
    this.#countMax = Math.max(1, Math.floor(bytesInFlightMax / bytesMax));
  }

  /** In memory that may belong to others. Throws REQUEST_TOO_LARGE, REQUEST_INVALID for what is not compressed so, or OVERLOADED. */
  async inflate(body: Uint8Array, encoding: ContentEncoding): Promise<Uint8Array> {
    if (this.#count >= this.#countMax) throw new ServerError('OVERLOADED', undefined, { retryAfterMs: busyRetryMs });
    this.#count += 1;
    try {
      return await unpack[encoding](body, { maxOutputLength: this.#bytesMax });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        throw new ServerError('REQUEST_TOO_LARGE', `The request body inflates to more than ${this.#bytesMax} bytes.`, { cause });
      }
      throw new ServerError('REQUEST_INVALID', `The body is not ${encoding} data.`, { field: 'content-encoding', cause });
    } finally {
      this.#count -= 1;
    }
  }
}

/** What a Content-Encoding header names; undefined for none. */
export function encodingOf(header: string): ContentEncoding | undefined {
  return contentEncodings.find((encoding) => encoding === header.trim().toLowerCase());
}

/** Fastest level: tensors hardly get smaller by trying harder. */
export async function deflated(parts: readonly Uint8Array[], encoding: ContentEncoding): Promise<Uint8Array> {
  return pack[encoding](Buffer.concat(parts), { level: constants.Z_BEST_SPEED });
}
