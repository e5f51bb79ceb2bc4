// HTTP: a table of operations on uWebSockets.js. Stands between the socket and operation.ts; knows no surface.
// Invariant: no route is registered but through #register, whose handler cannot throw and cannot forget to answer.
import { setImmediate as afterPoll, setTimeout as sleep } from 'node:timers/promises';
import type { TemplatedApp } from 'uWebSockets.js';
import { ByteBudget } from '../byte-budget.ts';
import { ServerError } from '../errors.ts';
import { bodyBytesInFlightMax, discardBytesMax } from '../limits.ts';
import type { AnyOperation, Authorize, CallObserver } from '../operation.ts';
import { Call } from '../operation.ts';
import { BodyCollector, bodyTooLarge, overloaded } from './body.ts';
import type { CorsOptions } from './cors.ts';
import { Cors } from './cors.ts';
import type { Traffic } from './exchange.ts';
import { Exchange } from './exchange.ts';
import { RequestHead } from './head.ts';
import type { Listener, Uws } from './listen.ts';
import { listen } from './listen.ts';
import type { RateLimiter } from './rate-limit.ts';
import type { RateVerdict } from './rate-verdict.ts';
import type { ErrorShape, PathMatch, Route } from './routes.ts';
import { optionsOf, Refusals, routesOf } from './routes.ts';

export type HttpOptions = {
  /** Connections that have become WebSockets since the start: another part drains them. */
  readonly upgraded?: (() => number) | undefined;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** From the whole body to the answer; an upload is bounded by uWebSockets.js's 16 KiB/s floor. */
  readonly requestTimeoutMs: number;
  readonly requestBytesMax: number;
  /** All bodies together; limits.ts has the default. */
  readonly bodyBytesInFlightMax?: number;
  readonly cors: CorsOptions;
  readonly rateLimiter: RateLimiter | undefined;
  /** Throws ServerError for a caller who may not; absent, everybody may. */
  readonly authorize?: Authorize | undefined;
  readonly observer: CallObserver;
  readonly errorShapes: readonly ErrorShape[];
};

const noBytes = new Uint8Array(0);
const uwsMethods = { GET: 'get', POST: 'post', PUT: 'put', DELETE: 'del' } as const;
type UwsMethod = 'get' | 'post' | 'put' | 'del' | 'head' | 'options' | 'any';

const drainPollMs = 10;
/** After so many looks without a request in between, what is still connected while draining is idle. */
const drainQuietLooks = 50;
/** A loaded server has no quiet turn; these take it some tens of milliseconds. */
const quietTurnsMax = 500;

/**
 * Registers every operation on `app` and listens. Other transports on the same app, WebSocket, register before.
 * Rejects with ListenError.
 */
export async function serveHttp(
  uws: Uws, app: TemplatedApp, operations: readonly AnyOperation[], options: HttpOptions,
): Promise<HttpServer> {
  const server = new HttpServer(app, operations, options);
  await server.listen(uws, options);
  return server;
}

export class HttpServer {
  readonly #app: TemplatedApp;
  readonly #options: HttpOptions;
  readonly #refusals: Refusals;
  readonly #cors: Cors;
  readonly #budget: ByteBudget;
  readonly #traffic: Traffic = { inFlight: 0, draining: false, begun: 0 };
  #connections = 0;
  #accepted = 0;
  #listener: Listener | undefined;
  #isClosed = false;

  constructor(app: TemplatedApp, operations: readonly AnyOperation[], options: HttpOptions) {
    this.#app = app;
    this.#options = options;
    this.#refusals = new Refusals(options.errorShapes);
    this.#cors = new Cors(options.cors);
    this.#budget = new ByteBudget(options.bodyBytesInFlightMax ?? bodyBytesInFlightMax);
    app.filter((_response, change) => {
      this.#connections += change;
      if (change > 0) this.#accepted += 1;
    });
    for (const route of routesOf(operations)) this.#registerRoute(route);
    const refuse = (exchange: Exchange, head: RequestHead): void => {
      this.#begin(exchange, head, this.#refusals.notFound(head.url), {});
    };
    this.#register('any', '/*', refuse);
    this.#register('head', '/*', refuse);
  }

  async listen(uws: Uws, { host, port }: { host: string; port: number }): Promise<void> {
    this.#listener = await listen(uws, this.#app, host, port);
  }

  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** Requests that are neither answered to the last byte nor aborted. */
  get inFlight(): number {
    return this.#traffic.inFlight;
  }

  get bodyBytesInFlight(): number {
    return this.#budget.bytes;
  }

  /**
   * Stops accepting and ends each connection with its next answer. Resolves when none is left, or when nothing is
   * in flight and those that are left have been quiet for a while. Takes as long as the longest request.
   */
  async drain(): Promise<void> {
    if (!this.#traffic.draining) {
      this.#traffic.draining = true;
      await this.#quietTurn();
      this.#closeListener();
    }
    // Looks, not time: a process that was held up for a second has not yet read what came in that second.
    let quietLooks = 0;
    let begun = this.#traffic.begun;
    while (!this.#isClosed && (this.#traffic.inFlight > 0 || (this.#open > 0 && quietLooks < drainQuietLooks))) {
      await sleep(drainPollMs);
      const isQuiet = this.#traffic.inFlight === 0 && this.#traffic.begun === begun;
      quietLooks = isQuiet ? quietLooks + 1 : 0;
      begun = this.#traffic.begun;
    }
  }

  /** uWebSockets.js tells of a connection's begin and end, but not of the end of one that became a WebSocket. */
  get #open(): number {
    return this.#connections - (this.#options.upgraded?.() ?? 0);
  }

  /** Ends every connection, idle or not; what is in flight is cancelled. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closeListener();
    this.#app.close();
  }

  /**
   * The kernel resets the connections it holds for us when a listen socket closes. The poll phase accepts all of
   * them, so the fewest are there right after a poll that found nothing to do.
   */
  async #quietTurn(): Promise<void> {
    for (let turns = 0; turns < quietTurnsMax; turns += 1) {
      const before = this.#accepted + this.#traffic.begun;
      await afterPoll();
      if (this.#accepted + this.#traffic.begun === before) return;
    }
  }

  #closeListener(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }

  #registerRoute(route: Route): void {
    const { path, allow } = route;
    const refuse = (exchange: Exchange, head: RequestHead): void => {
      exchange.allow = allow;
      this.#begin(exchange, head, this.#refusals.notAllowed(head.url), {});
    };
    let answerHead = refuse;
    for (const operation of route.operations) {
      const begin = (exchange: Exchange, head: RequestHead): void => {
        this.#begin(exchange, head, operation, route.match(head.url));
      };
      this.#register(uwsMethods[operation.method], path, begin);
      if (operation.method === 'GET') answerHead = begin;
    }
    const describe = optionsOf(allow, this.#cors);
    this.#register('options', path, (exchange, head) => this.#begin(exchange, head, describe, {}));
    this.#register('head', path, answerHead);
    this.#register('any', path, refuse);
  }

  #register(method: UwsMethod, path: string, begin: (exchange: Exchange, head: RequestHead) => void): void {
    this.#app[method](path, (response, request) => {
      const exchange = new Exchange(response, this.#traffic, this.#options.observer, this.#cors);
      exchange.headOnly = method === 'head';
      try {
        begin(exchange, new RequestHead(request));
      } catch (thrown) {
        exchange.fail(thrown);
      }
    });
  }

  /** Everything that can be decided from the head alone. */
  #begin(exchange: Exchange, head: RequestHead, operation: AnyOperation, match: PathMatch): void {
    const call = new Call({
      requestId: head.requestId,
      operation: match === 'missing' ? this.#refusals.notFound(head.url) : operation,
      parameters: typeof match === 'string' ? {} : match,
      query: head.query,
      timeoutMs: operation.timeoutMs ?? this.#options.requestTimeoutMs,
      header: (name) => head.header(name),
    });
    exchange.begin(call);
    if (head.framingFault !== undefined) return exchange.failAndHangUp(head.framingFault);
    const { body: way } = operation;
    const bodyBytesMax = way?.kind === 'stream' ? way.bytesMax() : this.#options.requestBytesMax;
    if (head.contentLength > bodyBytesMax + discardBytesMax) exchange.hangUp = 'now';
    if (match === 'malformed') throw new ServerError('REQUEST_INVALID', 'The path is not percent-encoded UTF-8 text.');
    call.caller = this.#options.authorize?.(call.operation, (name) => head.header(name)) ?? call.caller;
    // What GET would do with a body is not defined, so it is read and thrown away.
    const takesBody = head.hasBody && call.operation.method !== 'GET';
    if (takesBody) this.#refuseBody(exchange, head, bodyBytesMax, call.operation);
    const limiter = call.operation.unlimited === true ? undefined : this.#options.rateLimiter;
    const rate = limiter?.check(exchange.client(limiter.trustedProxies));
    if (!takesBody) return perform(exchange, noBytes, rate);
    if (way?.kind === 'stream') {
      exchange.receiveStream(bodyBytesMax, this.#budget);
      return perform(exchange, noBytes, rate);
    }
    const offsetBytes = way?.offsetBytes((name) => head.header(name));
    const collector = new BodyCollector(head.contentLength, bodyBytesMax, this.#budget, offsetBytes);
    exchange.receive(collector, (body) => {
      // A view is gone when this returns, and the verdict comes later.
      perform(exchange, rate !== undefined && collector.isView ? body.slice() : body, rate);
    });
  }

  /** Throws ServerError when the head already says that the body cannot be taken. */
  #refuseBody(exchange: Exchange, head: RequestHead, bytesMax: number, { body, contentEncodings }: AnyOperation): void {
    const encoding = head.header('content-encoding').toLowerCase();
    if (encoding !== '' && encoding !== 'identity' && contentEncodings?.includes(encoding) !== true) {
      const allowed = contentEncodings === undefined ? 'not be compressed' : `be plain, ${contentEncodings.join(' or ')}`;
      throw new ServerError('ENCODING_UNSUPPORTED', `The body must ${allowed}.`);
    }
    if (head.contentLength > bytesMax) {
      // Most clients stop sending then; what the others send on is thrown away, so that they can read the answer.
      if (exchange.hangUp === 'no') exchange.hangUp = 'ask';
      throw bodyTooLarge(bytesMax);
    }
    if (body?.kind !== 'stream' && !this.#budget.fits(head.contentLength)) throw overloaded();
  }
}

function perform(exchange: Exchange, body: Uint8Array, rate: Promise<RateVerdict> | undefined): void {
  if (rate === undefined) return exchange.perform(body);
  void rate.then((verdict) => {
    exchange.rate = verdict;
    if (verdict.allowed) exchange.perform(body);
    else exchange.fail(new ServerError('RATE_LIMITED', undefined, { retryAfterMs: verdict.resetMs }));
  });
}
