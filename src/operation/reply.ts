// What an operation answers with: a body as it is, or one that is made while it is sent.
import { ServerError, toServerError } from '../errors.ts';

/** A body that is made while it is sent. */
export type ReplyStream = {
  /**
   * Pulled as the client takes them; `return` when it leaves, which may be before the first pull, so what must be
   * given back is taken inside the iteration. A throw cuts the connection: a format that can tell of an error
   * does that itself.
   */
  readonly chunks: AsyncIterable<string | Uint8Array>;
  /** All chunks together, where that is known: then it is announced. */
  readonly lengthBytes?: number;
  /** In place of the first pull where only the head was asked for: then nobody left. */
  readonly skip?: () => void;
};

export type Reply = {
  readonly status: number;
  readonly contentType: string;
  /** Beyond those every answer gets. Values must be printable ASCII; the transport refuses others. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Owned by the reply: nobody writes to it afterwards. */
  readonly body: string | Uint8Array | ReplyStream;
};

export function isStream(body: Reply['body']): body is ReplyStream {
  return typeof body === 'object' && 'chunks' in body;
}

/** The body comes as `call.body` while the operation runs; `decode` gets none of it. */
export type StreamBody = { readonly kind: 'stream'; readonly bytesMax: () => number };

/**
 * The body is collected into memory of its own, once, and is the operation's: it may be kept and transferred. It
 * begins `offsetBytes` after the start of its buffer, so that what lies inside it can be aligned.
 */
export type OwnedBody = { readonly kind: 'owned'; readonly offsetBytes: (header: (name: string) => string) => number };

/** A stream that says once how it ended: with an error, with CANCELLED when it was given up, or with neither. */
export function watched(stream: ReplyStream, ended: (error: ServerError | undefined) => void): ReplyStream {
  const inner = stream.chunks[Symbol.asyncIterator]();
  let hasEnded = false;
  const end = (error: ServerError | undefined): void => {
    if (!hasEnded) ended(error);
    hasEnded = true;
  };
  const chunks: AsyncIterableIterator<string | Uint8Array> = {
    [Symbol.asyncIterator]: () => chunks,
    next: async () => {
      try {
        const result = await inner.next();
        if (result.done === true) end(undefined);
        return result;
      } catch (thrown) {
        end(toServerError(thrown));
        throw thrown;
      }
    },
    return: async () => {
      end(new ServerError('CANCELLED'));
      await inner.return?.();
      return { done: true, value: undefined };
    },
  };
  const skip = (): void => {
    end(undefined);
    inner.return?.().catch(() => {});
  };
  return { ...stream, chunks, skip };
}
