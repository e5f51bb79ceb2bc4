// One request and its answer: what may be done with a response object and when. Invariants: it is answered once or
// aborted, never both; nothing touches it after that; traffic is counted exactly as long as it is neither.
import type { HttpResponse } from 'uWebSockets.js';
import type { ByteBudget } from '../byte-budget.ts';
import { ServerError, toServerError } from '../errors.ts';
import { discardBytesMax } from '../limits.ts';
import type { Call, CallObserver, Outcome, Reply, ReplyStream } from '../operation.ts';
import { isStream, lastReply, perform, refuse } from '../operation.ts';
import { clientKey } from './address.ts';
import type { BodyCollector } from './body.ts';
import { BodyStream } from './body-stream.ts';
import type { Cors } from './cors.ts';
import { headerValue, retryAfterSeconds, serverTiming, statusLine } from './headers.ts';
import { rateHeaders, writeRateHeaders, type RateVerdict } from './rate-verdict.ts';
import { StreamedReply } from './reply-stream.ts';

/** What all exchanges of one server share. */
export type Traffic = {
  inFlight: number;
  draining: boolean;
  /** How many requests there have been. */
  begun: number;
};

/** Above this an answer is sent as the client takes it, so slow readers hold our copy and no second one. */
const streamedBytesMin = 64 * 1024;

export class Exchange {
  /** HEAD: everything but the body. */
  headOnly = false;
  /** For Allow, where the method is what is wrong. */
  allow: string | undefined;
  rate: RateVerdict | undefined;
  /** `ask`: the answer tells the client to close. `now`: we close after it. */
  hangUp: 'no' | 'ask' | 'now' = 'no';
  readonly #response: HttpResponse;
  readonly #traffic: Traffic;
  readonly #observer: CallObserver;
  readonly #cors: Cors;
  /** Set once the head is read; without it only a bug can be reported. */
  #call: Call | undefined;
  /** Released when the call has ended, which may be after the client left. */
  #body: BodyCollector | undefined;
  #bodyStream: BodyStream | undefined;
  #streamedReply: StreamedReply | undefined;
  #isOpen = true;
  /** The observer has been told or will be, whatever the client does. */
  #isPerformed = false;
  #hangUpError: ServerError | undefined;

  constructor(response: HttpResponse, traffic: Traffic, observer: CallObserver, cors: Cors) {
    // First of all: a handler that returns or throws before this takes the whole process down.
    response.onAborted(() => this.#abort());
    this.#response = response;
    this.#traffic = traffic;
    this.#observer = observer;
    this.#cors = cors;
    traffic.inFlight += 1;
    traffic.begun += 1;
  }

  begin(call: Call): void {
    this.#call = call;
  }

  /** Who asks, for the rate limit. Only while the handler runs. */
  client(trustedProxies: number): string {
    const forwardedFor = trustedProxies > 0 ? this.#call?.header('x-forwarded-for') ?? '' : '';
    return clientKey(this.#response.getRemoteAddress(), forwardedFor, trustedProxies);
  }

  /**
   * Hands the whole body to `done`, once, or answers with why it cannot be taken. Only while the handler runs.
   * Who calls this answers after the body: else uWebSockets.js forgets the idle timeout of the connection.
   */
  receive(collector: BodyCollector, done: (body: Uint8Array) => void): void {
    this.#body = collector;
    this.#response.onData((chunk, isLast) => {
      if (!this.#isOpen) return;
      try {
        const body = collector.push(chunk, isLast);
        if (body !== undefined) done(body);
      } catch (thrown) {
        this.hangUp = 'now';
        this.fail(thrown);
      }
    });
  }

  /** Gives the call its body as it comes. Only while the handler runs. */
  receiveStream(bytesMax: number, budget: ByteBudget): void {
    this.#bodyStream = new BodyStream(this.#response, bytesMax, budget);
    this.#call!.body = this.#bodyStream;
  }

  /** Runs the call and answers it. `bytes` are free again when this returns. */
  perform(bytes: Uint8Array): void {
    const call = this.#call;
    if (call === undefined || !this.#isOpen) return;
    this.#isPerformed = true;
    const outcome = perform(call.operation, bytes, call, this.#observer);
    if (outcome instanceof Promise) void outcome.then((late) => this.#finish(late));
    else this.#finish(outcome);
  }

  /** Answers with an error. */
  fail(thrown: unknown): void {
    if (!this.#isOpen) return;
    this.#isPerformed = true;
    this.#body?.release();
    const error = toServerError(thrown);
    const outcome = this.#call === undefined
      ? { reply: lastReply(error), error }
      : refuse(this.#call, error, this.#observer);
    this.#answer(outcome);
  }

  /**
   * Answers with an error and reads nothing more from the connection. uWebSockets.js goes on to the next request
   * in bytes it has already read unless the answer is still open, hence the wait.
   */
  failAndHangUp(error: ServerError): void {
    this.hangUp = 'now';
    this.#hangUpError = error;
    setImmediate(() => this.fail(error));
  }

  #finish(outcome: Outcome): void {
    this.#body?.release();
    this.#answer(outcome);
  }

  #answer(outcome: Outcome): void {
    if (this.#bodyStream === undefined) return this.#answerNow(outcome);
    // An answer before the end of the body would be lost on clients that only read once they have sent.
    void this.#bodyStream.discard(discardBytesMax).then((isWhole) => {
      if (!isWhole) this.hangUp = 'now';
      this.#answerNow(outcome);
    });
  }

  #answerNow(outcome: Outcome): void {
    if (!this.#isOpen && isStream(outcome.reply.body)) return giveUp(outcome.reply.body);
    this.#write(() => {
      const { reply, error } = outcome;
      this.#response.writeStatus(statusLine(reply.status));
      if (reply.contentType !== '') writeChecked(this.#response, 'content-type', reply.contentType);
      this.#writeCommonHeaders();
      if (reply.headers !== undefined) {
        for (const name in reply.headers) {
          // An upstream's limit, beside ours, would make neither readable.
          if (this.rate === undefined || !rateHeaders.has(name)) writeChecked(this.#response, name, reply.headers[name]!);
        }
      }
      if (error?.retryAfterMs !== undefined) {
        this.#response.writeHeader('retry-after', retryAfterSeconds(error.retryAfterMs));
        this.#response.writeHeader('retry-after-ms', String(Math.ceil(error.retryAfterMs)));
      }
      if (error?.code === 'UNAUTHENTICATED') this.#response.writeHeader('www-authenticate', 'Bearer');
      this.#writeBody(reply);
    });
  }

  #writeCommonHeaders(): void {
    const response = this.#response;
    if (this.allow !== undefined) response.writeHeader('allow', this.allow);
    if (this.rate !== undefined) writeRateHeaders(response, this.rate);
    const call = this.#call;
    if (call === undefined) return;
    this.#cors.write(response, call.header('origin'));
    const totalMs = performance.now() - call.startedMs;
    response.writeHeader('x-request-id', call.requestId);
    response.writeHeader('server-timing', serverTiming(call.timings, totalMs));
    response.writeHeader('openai-processing-ms', String(Math.round(totalMs)));
  }

  #writeBody({ status, body }: Reply): void {
    const response = this.#response;
    const closes = this.hangUp === 'now' || this.#traffic.draining;
    // A length with 304 would be taken for that of the answer the client has (RFC 9110, 8.6).
    const hasBody = !this.headOnly && status !== 204 && status !== 304;
    if (isStream(body)) {
      if (closes || this.hangUp === 'ask') response.writeHeader('connection', 'close');
      if (hasBody) return this.#sendStream(body);
      if (this.headOnly && body.lengthBytes !== undefined) response.writeHeader('content-length', String(body.lengthBytes));
      if (body.skip === undefined) giveUp(body);
      else body.skip();
      response.endWithoutBody();
      return this.#close();
    }
    const isStreamed = hasBody && body.length >= streamedBytesMin;
    // Only `end` can close the connection, so elsewhere the client is asked to.
    const ends = this.hangUp === 'now' || (hasBody && !isStreamed);
    if (this.hangUp === 'ask' || (closes && !ends)) response.writeHeader('connection', 'close');
    if (isStreamed) return this.#stream(typeof body === 'string' ? Buffer.from(body) : body);
    if (ends) {
      response.end(hasBody ? body : '', closes);
    } else {
      // Given a length, endWithoutBody leaves the response open in the eyes of uWebSockets.js.
      if (this.headOnly && status !== 304) response.writeHeader('content-length', String(Buffer.byteLength(body)));
      response.endWithoutBody();
    }
    this.#close();
  }

  /** Writes what the socket takes, the rest as it drains. Open until all of it is handed over. */
  #stream(body: Uint8Array): void {
    const response = this.#response;
    const tryEnd = (from: number): boolean => {
      const [taken, ended] = response.tryEnd(body.subarray(from), body.byteLength);
      if (ended) this.#close();
      return taken;
    };
    if (tryEnd(0) || !this.#isOpen) return;
    response.onWritable((offset) => {
      try {
        return tryEnd(offset);
      } catch {
        response.close();
        return true;
      }
    });
  }

  #sendStream(stream: ReplyStream): void {
    this.#streamedReply = new StreamedReply(this.#response, stream);
    this.#streamedReply.send().then(
      (mustEnd) => {
        if (!this.#isOpen) return;
        if (mustEnd) this.#response.cork(() => this.#response.end('', this.hangUp === 'now' || this.#traffic.draining));
        this.#close();
      },
      () => {
        if (this.#isOpen) this.#response.close();
      },
    );
  }

  /** Everything that touches the response goes through here. */
  #write(write: () => void): void {
    if (!this.#isOpen) return;
    try {
      this.#response.cork(write);
    } catch {
      // Part of an answer may be out, so there is no way to send another one.
      if (this.#isOpen) this.#response.close();
    }
  }

  #abort(): void {
    if (!this.#isOpen) return;
    this.#close();
    this.#call?.cancel();
    this.#bodyStream?.close();
    this.#streamedReply?.close();
    if (this.#call === undefined) return;
    if (this.#isPerformed) return;
    this.#body?.release();
    this.#bodyStream?.release();
    refuse(this.#call, this.#hangUpError ?? new ServerError('CANCELLED'), this.#observer);
  }

  #close(): void {
    this.#isOpen = false;
    this.#traffic.inFlight -= 1;
  }
}

/** So that its maker and the observer hear of it. */
function giveUp({ chunks }: ReplyStream): void {
  chunks[Symbol.asyncIterator]().return?.()?.catch(() => {});
}

function writeChecked(response: HttpResponse, name: string, value: string): void {
  const checked = headerValue(value);
  if (checked !== undefined) response.writeHeader(name, checked);
}
