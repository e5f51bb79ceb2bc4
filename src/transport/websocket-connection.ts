// One WebSocket: its messages to requests, their parts to frames. Invariants: a message that is wrong harms nothing
// but itself; what waits for a slow reader is bounded; nothing touches the socket once it is closed.
import type { WebSocket } from 'uWebSockets.js';
import { ServerError, toServerError } from '../errors.ts';
import { socketBufferBytesMax, socketDrainStallMsMax, socketNoticeBytesMax, socketRequestsLargeMax, socketRequestsMax } from '../limits.ts';
import { Call, refuse, type AnyOperation } from '../operation.ts';
import { bodyTooLarge, overloaded } from './body.ts';
import { errorFields, isBinaryPart, partFrame, readMessage, type ClientMessage } from './websocket-message.ts';
import { SocketRequest, type NumberedPart, type PartSink } from './websocket-request.ts';
import type { SocketSetup } from './websocket.ts';
import { openSource } from './websocket-source.ts';

/** uWebSockets.js copies the fields of this to the socket, so it is no place for a class itself. */
export type Attached = { readonly connection: Connection };

export class Connection implements PartSink {
  readonly #setup: SocketSetup;
  readonly #header: (name: string) => string;
  readonly #requestId: string;
  /** Whose rate limit it shares. */
  readonly #client: string;
  readonly #requests = new Map<string, SocketRequest>();
  /** Requests that wait for the rate limiter, by their ids. */
  readonly #entering = new Map<string, { readonly bytes: number; readonly call: Call }>();
  #socket: WebSocket<Attached> | undefined;
  /** When its reader last took something, or had nothing to take. */
  #tookMs = 0;
  #isDraining = false;

  constructor(setup: SocketSetup, init: { header: (name: string) => string; requestId: string; client: string }) {
    this.#setup = setup;
    this.#header = init.header;
    this.#requestId = init.requestId;
    this.#client = init.client;
  }

  get requests(): number {
    return this.#requests.size + this.#entering.size;
  }

  opened(socket: WebSocket<Attached>): void {
    this.#socket = socket;
    this.#say({
      type: 'hello',
      protocol: this.#setup.protocol,
      requests_max: socketRequestsMax,
      request_bytes_max: this.#setup.requestBytesMax,
      bytes_max: this.#bytesMax,
      idle_seconds: this.#setup.idleSeconds,
    });
  }

  /** `bytes` are free again when this returns. */
  receive(bytes: Uint8Array, isBinary: boolean): void {
    let message: ClientMessage | undefined;
    try {
      if (bytes.byteLength > this.#setup.requestBytesMax) throw bodyTooLarge(this.#setup.requestBytesMax);
      message = readMessage(bytes, isBinary);
      this.#take(message, bytes.byteLength);
    } catch (thrown) {
      const error = toServerError(thrown);
      // Not `error`: that would end the request which has the id.
      this.#say({ type: 'rejected', ...(message && { id: message.id }), ...errorFields(error) });
    }
  }

  /** The reader has taken some: each request in turn goes on, the one that waited longest first. */
  drained(): void {
    this.#tookMs = performance.now();
    for (const request of [...this.#requests.values()]) {
      if (!this.#isWritable) return;
      // Those at the front are served first, so who was served goes to the end.
      if (this.#requests.delete(request.id)) this.#requests.set(request.id, request);
      request.flush();
    }
  }

  closed(): void {
    this.#socket = undefined;
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const request of requests) request.detach();
  }

  /** Takes no more requests, and ends when those it has are finished. */
  drain(): void {
    this.#isDraining = true;
    this.#tookMs = performance.now();
    this.#endIfDrained();
  }

  /** Looks, while draining, whether its reader still takes what waits for it; ends the connection when not. */
  endIfStalled(): void {
    const nowMs = performance.now();
    if (this.#socket === undefined || this.#socket.getBufferedAmount() === 0) this.#tookMs = nowMs;
    else if (nowMs - this.#tookMs > socketDrainStallMsMax) this.#socket.close();
  }

  send(request: SocketRequest, parts: readonly NumberedPart[]): number {
    let taken = 0;
    this.#socket?.cork(() => {
      while (taken < parts.length && this.#isWritable) {
        const { seq, part } = parts[taken]!;
        this.#socket?.send(partFrame(request.id, request.job === undefined ? undefined : seq, part), isBinaryPart(part));
        taken += 1;
      }
    });
    return taken;
  }

  sent(): void {
    this.#endIfDrained();
  }

  over(request: SocketRequest): void {
    if (this.#requests.get(request.id) === request) this.#requests.delete(request.id);
    this.#endIfDrained();
  }

  lost(request: SocketRequest): void {
    this.over(request);
    this.#notify(request.id, new ServerError('CANCELLED', 'Another connection goes on with this request.'));
  }

  get #bytesMax(): number {
    return this.#setup.requestBytesMax * socketRequestsLargeMax;
  }

  get #isWritable(): boolean {
    return this.#socket !== undefined && this.#socket.getBufferedAmount() < socketBufferBytesMax;
  }

  #take(message: ClientMessage, bytes: number): void {
    const { id, op, fields } = message;
    if (op === 'ping') return this.#say({ type: 'pong', id });
    if (op === 'cancel') return this.#cancel(id);
    if (op === 'ack') return this.#requests.get(id)?.acknowledge(Number(fields['seq']));
    if (this.#requests.has(id) || this.#entering.has(id)) {
      throw new ServerError('REQUEST_INVALID', 'A request with this id is not finished.', { field: 'id' });
    }
    if (op === 'resume') return this.#resume(message);
    void this.#begin(message, bytes);
  }

  /** Everything that is told of a request by its id; never rejects. */
  async #begin(message: ClientMessage, bytes: number): Promise<void> {
    const { id, op, fields } = message;
    const operation = this.#setup.operations.get(op);
    const call = this.#newCall(message, operation ?? this.#setup.unknownOperation);
    let isTold = false;
    let isHeld = false;
    try {
      if (operation === undefined) throw new ServerError('ROUTE_NOT_FOUND', "There is no such 'op'.", { field: 'op' });
      this.#admit(bytes);
      this.#entering.set(id, { bytes, call });
      isHeld = true;
      call.caller = this.#setup.authorize?.(operation, this.#header) ?? call.caller;
      await this.#checkRate(operation);
      if (this.#socket === undefined || call.cancelled) throw new ServerError('CANCELLED');
      isTold = true;
      const source = openSource(operation, message, call, this.#setup.observer);
      const resumable = fields['resumable'] === true && this.#setup.jobs.hasRoom;
      const request = new SocketRequest({ id, bytes, caller: call.caller.name, resumable, source, onOver: () => this.#release(request) });
      this.#entering.delete(id);
      this.#setup.jobs.add(request);
      if (request.job !== undefined) this.#say({ type: 'accepted', id, job: request.job });
      this.#attach(request);
      void request.run();
    } catch (thrown) {
      this.#entering.delete(id);
      if (isHeld) this.#setup.budget.give(bytes);
      this.#notify(id, isTold ? toServerError(thrown) : refuse(call, thrown, this.#setup.observer).error ?? toServerError(thrown));
      this.#endIfDrained();
    }
  }

  #newCall({ id, fields }: ClientMessage, operation: AnyOperation): Call {
    const accept = fields['binary'] === true ? 'application/octet-stream' : '';
    return new Call({
      requestId: `${this.#requestId}/${id}`,
      operation,
      parameters: textFields(fields['params']),
      query: new URLSearchParams(textFields(fields['query'])),
      timeoutMs: operation.timeoutMs ?? this.#setup.requestTimeoutMs,
      header: (name) => (name === 'accept' ? accept : this.#header(name)),
    });
  }

  #admit(bytes: number): void {
    if (this.#isDraining) throw new ServerError('OVERLOADED', 'The server is shutting down.', { retryAfterMs: 1000 });
    this.#checkRoom(bytes, [...this.#requests.values()]);
    if (!this.#setup.budget.take(bytes)) throw overloaded();
  }

  /** What a connection has is counted where it is: a request that another one goes on with takes no room here. */
  #checkRoom(bytes: number, requests: readonly SocketRequest[]): void {
    const held = [...this.#entering.values(), ...requests].map((each) => each.bytes);
    if (held.length < socketRequestsMax && held.reduce((sum, each) => sum + each, bytes) <= this.#bytesMax) return;
    throw new ServerError('QUEUE_FULL', `This connection has ${held.length} requests that are not finished.`, { retryAfterMs: 1000 });
  }

  /** By whatever connection it ended. */
  #release(request: SocketRequest): void {
    this.#setup.budget.give(request.bytes);
    this.#setup.jobs.delete(request);
  }

  async #checkRate(operation: AnyOperation): Promise<void> {
    if (operation.unlimited === true) return;
    const verdict = await this.#setup.rateLimiter?.check(this.#client);
    if (verdict?.allowed === false) throw new ServerError('RATE_LIMITED', undefined, { retryAfterMs: verdict.resetMs });
  }

  #cancel(id: string): void {
    const request = this.#requests.get(id);
    // One that waits for the rate limiter is told with the verdict.
    if (request === undefined) return this.#entering.get(id)?.call.cancel();
    request.cancel();
    this.#notify(id, new ServerError('CANCELLED'));
  }

  #resume({ id, fields }: ClientMessage): void {
    const { job, after } = fields;
    const caller = this.#setup.authorize?.(this.#setup.connect, this.#header).name ?? 'anonymous';
    const request = this.#setup.jobs.find(job);
    try {
      if (request?.caller !== caller || typeof after !== 'number') throw jobNotFound();
      this.#checkRoom(request.bytes, [...this.#requests.values()].filter((other) => other !== request));
      if (!request.resumeAfter(after)) throw jobNotFound();
    } catch (error) {
      return this.#notify(id, toServerError(error));
    }
    request.takeFrom();
    request.id = id;
    this.#attach(request);
  }

  /** What was said before may have cut this connection off. */
  #attach(request: SocketRequest): void {
    if (this.#socket === undefined) return request.detach();
    this.#requests.set(request.id, request);
    request.attach(this);
  }

  #notify(id: string, error: ServerError): void {
    this.#say({ type: 'error', id, ...errorFields(error) });
  }

  /** Short and at once. Who makes us say much and reads nothing is cut off. */
  #say(message: object): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    if (socket.getBufferedAmount() > socketBufferBytesMax + socketNoticeBytesMax) socket.close();
    else socket.send(JSON.stringify(message));
  }

  #endIfDrained(): void {
    if (!this.#isDraining || this.#entering.size > 0) return;
    if ([...this.#requests.values()].every(({ isSent }) => isSent)) this.#socket?.end(1001, 'The server is shutting down.');
  }
}

function jobNotFound(): ServerError {
  return new ServerError('JOB_NOT_FOUND', 'There is no such job, or not from there on.', { field: 'job' });
}

function textFields(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
