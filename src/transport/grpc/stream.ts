// A call with many requests: each runs on its own, answers go out in the order of the requests.
// Invariants: only so many run at once, and nothing more is read while the client does not read its answers.
import { once } from 'node:events';
import { status, type ServerDuplexStream } from '@grpc/grpc-js';
import { toServerError } from '../../errors.ts';
import { grpcStreamRequestsMax } from '../../limits.ts';
import type { AnyOperation, Outcome } from '../../operation.ts';
import { grpcError, type GrpcPerformer } from './call.ts';

type Stream = ServerDuplexStream<Buffer, Uint8Array>;

/** Never rejects. @param draining ends the stream once what it has asked for is answered */
export async function answerStream(stream: Stream, operation: AnyOperation, performer: GrpcPerformer, draining: AbortSignal): Promise<void> {
  try {
    performer.admit(operation, stream);
  } catch (error) {
    stream.emit('error', grpcError(toServerError(error)));
    return;
  }
  // Each request that runs listens for the client's leaving.
  stream.setMaxListeners(grpcStreamRequestsMax + 10);
  const gone = new AbortController();
  stream.once('cancelled', () => gone.abort());
  const end = (): void => void stream.destroy();
  stream.on('error', () => gone.abort());
  const answers = new OrderedAnswers(stream, gone.signal);
  const onDrain = (): void => {
    void answers.sent().then(() => {
      if (!gone.signal.aborted) stream.emit('error', { code: status.UNAVAILABLE, details: 'The server is shutting down.' });
      end();
    });
  };
  draining.addEventListener('abort', onDrain, { once: true });
  try {
    // By default the end of reading would destroy the writing side, too.
    for await (const message of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (draining.aborted) break;
      await answers.room();
      if (gone.signal.aborted) break;
      answers.add(performer.perform(operation, message, stream));
    }
    await answers.sent();
    if (!gone.signal.aborted && !draining.aborted) stream.end();
  } catch {
    // The client is gone, or what it sends is no gRPC: grpc-js has told it.
  } finally {
    draining.removeEventListener('abort', onDrain);
  }
}

class OrderedAnswers {
  readonly #stream: Stream;
  readonly #gone: AbortSignal;
  #running = 0;
  #last: Promise<void> = Promise.resolve();
  #handedOver: Promise<void> = Promise.resolve();
  #onRoom: (() => void) | undefined;
  #onHandedOver: (() => void) | undefined;

  constructor(stream: Stream, gone: AbortSignal) {
    this.#stream = stream;
    this.#gone = gone;
    gone.addEventListener('abort', () => {
      this.#onRoom?.();
      this.#onHandedOver?.();
    }, { once: true });
  }

  /** Waits until one more may run. */
  async room(): Promise<void> {
    while (this.#running >= grpcStreamRequestsMax && !this.#gone.aborted) {
      await new Promise<void>((resolve) => (this.#onRoom = resolve));
    }
  }

  add(outcome: Promise<Outcome>): void {
    this.#running += 1;
    this.#last = this.#last.then(async () => {
      await this.#send((await outcome).reply.body as Uint8Array);
      this.#running -= 1;
      this.#onRoom?.();
    });
  }

  /** All that were added have been answered, or nobody is there to read. An error before that would overtake them. */
  async sent(): Promise<void> {
    // One that waited for room is added as soon as another is answered.
    for (let last: Promise<void> | undefined; last !== this.#last;) await (last = this.#last);
    await this.#handedOver;
  }

  async #send(bytes: Uint8Array): Promise<void> {
    if (this.#gone.aborted) return;
    let hasRoom = true;
    this.#handedOver = new Promise((resolve) => {
      this.#onHandedOver = resolve;
      hasRoom = this.#stream.write(bytes, () => resolve());
    });
    if (!hasRoom) await once(this.#stream, 'drain', { signal: this.#gone }).catch(() => {});
  }
}
