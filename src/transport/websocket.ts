// WebSocket: the same operations as HTTP, many at once on one connection. Registers on the app before HTTP does.
// Invariant: what decides who may connect is the table and the authorizer that HTTP asks.
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t } from 'uWebSockets.js';
import { ServerError } from '../errors.ts';
import { socketBytesInFlightMax, socketMessageSlackBytes, socketsMax } from '../limits.ts';
import { Call, type AnyOperation, type Authorize, type CallObserver } from '../operation.ts';
import { clientKey } from './address.ts';
import { ByteBudget } from '../byte-budget.ts';
import { Cors, type CorsOptions } from './cors.ts';
import { Exchange, type Traffic } from './exchange.ts';
import { RequestHead } from './head.ts';
import type { RateLimiter } from './rate-limit.ts';
import { Connection, type Attached } from './websocket-connection.ts';
import { ResumableRequests } from './websocket-jobs.ts';

export type SocketOptions = {
  /** What a request for the path without an upgrade gets, and whose scope a key needs to connect. */
  readonly connect: AnyOperation;
  readonly requestTimeoutMs: number;
  readonly requestBytesMax: number;
  /** 8 to 960; uWebSockets.js ends the process for another one. */
  readonly idleSeconds: number;
  readonly cors: CorsOptions;
  readonly rateLimiter: RateLimiter | undefined;
  readonly authorize?: Authorize | undefined;
  readonly observer: CallObserver;
};

/** What all connections of one server share. */
export type SocketSetup = Omit<SocketOptions, 'cors'> & {
  readonly protocol: string;
  /** By name and by alias. */
  readonly operations: ReadonlyMap<string, AnyOperation>;
  readonly unknownOperation: AnyOperation;
  readonly budget: ByteBudget;
  readonly jobs: ResumableRequests;
};

export const socketProtocol = 'ortserve.v1';
const keyProtocol = 'bearer.';
const drainPollMs = 10;

export class SocketServer {
  readonly #options: SocketOptions;
  readonly #setup: SocketSetup;
  readonly #cors: Cors;
  readonly #traffic: Traffic = { inFlight: 0, draining: false, begun: 0 };
  readonly #connections = new Set<Connection>();
  #upgraded = 0;

  /** Throws when two operations have one name or alias. */
  constructor(app: TemplatedApp, operations: readonly AnyOperation[], options: SocketOptions) {
    this.#options = options;
    this.#cors = new Cors(options.cors);
    this.#setup = {
      ...options,
      protocol: socketProtocol,
      operations: operationsByName(operations),
      unknownOperation: { ...options.connect, name: 'websocket.unknown' },
      budget: new ByteBudget(socketBytesInFlightMax),
      jobs: new ResumableRequests(),
    };
    app.ws<Attached>(options.connect.path, {
      ...socketLimits(options),
      upgrade: (response, request, context) => this.#upgrade(response, request, context),
      open: (socket) => socket.getUserData().connection.opened(socket),
      message: (socket, message, isBinary) => socket.getUserData().connection.receive(new Uint8Array(message), isBinary),
      drain: (socket) => socket.getUserData().connection.drained(),
      close: (socket) => {
        const { connection } = socket.getUserData();
        this.#connections.delete(connection);
        connection.closed();
      },
    });
  }

  /** Connections that were taken from HTTP since the start. */
  get upgraded(): number {
    return this.#upgraded;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Requests that are not finished, those that wait for a new connection included. */
  get inFlight(): number {
    return [...this.#connections].reduce((sum, { requests }) => sum + requests, this.#setup.jobs.detached);
  }

  /**
   * Takes no more requests, and closes each connection with 1001 once those it has are answered. A reader that takes
   * nothing does not hold it up.
   */
  async drain(): Promise<void> {
    this.#traffic.draining = true;
    for (const connection of this.#connections) connection.drain();
    while (this.#connections.size > 0) {
      await sleep(drainPollMs);
      for (const connection of [...this.#connections]) connection.endIfStalled();
    }
    this.close();
  }

  /** Gives up what could be resumed. */
  close(): void {
    this.#setup.jobs.close();
  }

  /** Never throws: uWebSockets.js would end the process. */
  #upgrade(response: HttpResponse, request: HttpRequest, context: us_socket_context_t): void {
    let head: RequestHead | undefined;
    let connection: Connection;
    try {
      head = new RequestHead(request);
      connection = this.#admit(head, response);
    } catch (thrown) {
      const exchange = new Exchange(response, this.#traffic, this.#options.observer, this.#cors);
      if (head !== undefined) exchange.begin(newCall(this.#options.connect, head));
      return exchange.fail(thrown);
    }
    this.#connections.add(connection);
    this.#upgraded += 1;
    const offers = protocolsOf(head).includes(socketProtocol);
    // Calls `open` before it returns.
    response.upgrade(
      { connection },
      head.header('sec-websocket-key'),
      offers ? socketProtocol : '',
      head.header('sec-websocket-extensions'),
      context,
    );
  }

  #admit(head: RequestHead, response: HttpResponse): Connection {
    const header = headerWithKey(head);
    if (this.#traffic.draining || this.#connections.size >= socketsMax) {
      throw new ServerError('OVERLOADED', 'The server takes no more connections.', { retryAfterMs: 1000 });
    }
    if (!this.#cors.admits(header('origin'), header('host'))) {
      throw new ServerError('FORBIDDEN', 'Pages of this origin may not connect.', { field: 'origin' });
    }
    this.#options.authorize?.(this.#options.connect, header);
    const trustedProxies = this.#options.rateLimiter?.trustedProxies ?? 0;
    const client = clientKey(response.getRemoteAddress(), header('x-forwarded-for'), trustedProxies);
    return new Connection(this.#setup, { header, requestId: head.requestId, client });
  }
}

/** What of the protocol below ours uWebSockets.js is told. Compression stays off: a small message could be a huge one. */
export function socketLimits({ requestBytesMax, idleSeconds }: Pick<SocketOptions, 'requestBytesMax' | 'idleSeconds'>) {
  return {
    // Above the largest request, so that one a little too large gets an answer and not a cut.
    maxPayloadLength: requestBytesMax + socketMessageSlackBytes,
    // The connection itself bounds what waits; a frame that were dropped here would be lost without a word.
    maxBackpressure: 0,
    idleTimeout: idleSeconds,
    sendPingsAutomatically: true,
  } as const;
}

function newCall(operation: AnyOperation, head: RequestHead): Call {
  return new Call({ requestId: head.requestId, operation, timeoutMs: 0, header: (name) => head.header(name) });
}

/** Those that take their body whole, by name and alias; the first of several paths counts. */
function operationsByName(operations: readonly AnyOperation[]): ReadonlyMap<string, AnyOperation> {
  const named = new Map<string, AnyOperation>();
  for (const operation of operations.flatMap((each) => each.alternatives ?? [each])) {
    if (operation.body !== undefined) continue;
    for (const name of [operation.name, operation.alias]) if (name !== undefined && !named.has(name)) named.set(name, operation);
  }
  return named;
}

function protocolsOf(head: RequestHead): string[] {
  return head.header('sec-websocket-protocol').split(',').map((each) => each.trim());
}

/** Browsers cannot set headers here, so a key may also come as the subprotocol `bearer.<key>`, percent-encoded. */
function headerWithKey(head: RequestHead): (name: string) => string {
  const offered = protocolsOf(head).find((each) => each.startsWith(keyProtocol));
  if (offered === undefined) return (name) => head.header(name);
  const key = decoded(offered.slice(keyProtocol.length));
  return (name) => (name === 'authorization' ? head.header(name) || `Bearer ${key}` : head.header(name));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
