// What the tests of the WebSocket transport share: a server with toy operations, and a client that keeps what it hears.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import WebSocket, { type ClientOptions } from 'ws';
import type { AnyOperation, Call } from '../../src/operation.ts';
import type { StreamEvent } from '../../src/operation/events.ts';
import { HttpServer, serveHttp } from '../../src/transport/http.ts';
import { loadUws } from '../../src/transport/listen.ts';
import { SocketServer, type SocketOptions } from '../../src/transport/websocket.ts';
import { until } from '../support/until.ts';
import { encodeError, json, operation, type Ended } from './support.ts';

const connectOperation = operation('GET', '/v1/stream', () => undefined, { name: 'websocket.connect', scope: 'infer' });

export type SocketServed = { server: SocketServer; http: HttpServer; port: number; ended: Ended[]; connect: Connect };
type Connect = (options?: ClientOptions & { protocols?: string[] }) => Promise<TestSocket>;

/** A server that is closed with the test. */
export async function serveSockets(
  t: TestContext, operations: readonly AnyOperation[], options: Partial<SocketOptions> = {},
): Promise<SocketServed> {
  const uws = await loadUws();
  const app = uws.App();
  const ended: Ended[] = [];
  const shared = {
    requestTimeoutMs: 5000,
    requestBytesMax: 64 * 1024,
    cors: { enabled: false, origins: [] },
    rateLimiter: undefined,
    observer: {
      ended: (call: Call, reply: { status: number }, error: Ended['error']) => {
        ended.push({ operation: call.operation.name, status: reply.status, error });
      },
    },
    ...options,
  };
  const server = new SocketServer(app, operations, { connect: connectOperation, idleSeconds: 60, ...shared });
  const http = await serveHttp(uws, app, [...operations, connectOperation], {
    ...shared, upgraded: () => server.upgraded, host: '127.0.0.1', port: 0, errorShapes: [{ prefix: '/', encodeError }],
  });
  t.after(() => {
    server.close();
    http.close();
  });
  const url = `ws://127.0.0.1:${http.port}/v1/stream`;
  const connect: Connect = ({ protocols = [], ...more } = {}) => TestSocket.open(t, url, protocols, more);
  return { server, http, port: http.port, ended, connect };
}

/** Items as `events` makes them; `input` is the parsed body. */
export function streaming(name: string, events: (input: any, call: Call) => AsyncIterable<readonly StreamEvent[]>): AnyOperation {
  return operation('POST', `/${name}`, () => 'whole', {
    name,
    decodeBody: (body: unknown) => body,
    streams: { wanted: () => false, events },
    encode: (output: unknown) => json(output),
  });
}

export const item = (fields: object): StreamEvent => ({ event: 'item', json: JSON.stringify(fields) });
export const summary = (fields: object = {}): StreamEvent => ({ event: 'summary', json: JSON.stringify(fields) });

/** As many items as the body's `count` says, `size` characters each; counts in `made` what was pulled. */
export function counting(made: { items: number } = { items: 0 }): AnyOperation {
  return streaming('count', async function* ({ count, size = 1 }: { count: number; size?: number }) {
    for (let n = 1; n <= count; n++) {
      made.items += 1;
      yield [item({ n, text: 'x'.repeat(size) })];
    }
    yield [summary({ count })];
  });
}

export type Received = Record<string, any> & { type: string };

export class TestSocket {
  readonly socket: WebSocket;
  readonly messages: Received[] = [];
  /** Raw data of binary messages, by their place in `messages`. */
  readonly data = new Map<number, Buffer>();
  closed: { code: number; reason: string } | undefined;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (bytes: Buffer, isBinary) => {
      if (!isBinary) return void this.messages.push(JSON.parse(bytes.toString()) as Received);
      const length = bytes.readUint32LE(0);
      assert.equal((4 + length) % 8, 0, 'the data is aligned');
      this.data.set(this.messages.length, bytes.subarray(4 + length));
      this.messages.push(JSON.parse(bytes.toString('utf8', 4, 4 + length)) as Received);
    });
    socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
  }

  static async open(t: TestContext, url: string, protocols: string[], options: ClientOptions): Promise<TestSocket> {
    const socket = new WebSocket(url, protocols, options);
    t.after(() => socket.terminate());
    const opened = new TestSocket(socket);
    socket.on('error', () => {});
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('unexpected-response', (_request, response) => reject(Object.assign(new Error(`refused with ${response.statusCode}`), { status: response.statusCode })));
      socket.once('error', reject);
    });
    return opened;
  }

  send(message: object): this {
    this.socket.send(JSON.stringify(message));
    return this;
  }

  sendBinary(fields: object, data: Uint8Array): this {
    const text = Buffer.from(JSON.stringify(fields));
    const length = Buffer.alloc(4);
    length.writeUint32LE(text.length);
    this.socket.send(Buffer.concat([length, text, data]));
    return this;
  }

  of(id: string, type?: string): Received[] {
    return this.messages.filter((message) => message['id'] === id && (type === undefined || message.type === type));
  }

  /** The message that ends request `id`. */
  async end(id: string): Promise<Received> {
    const isEnd = ({ type }: Received): boolean => ['summary', 'result', 'error'].includes(type);
    await until(() => this.of(id).some(isEnd), `request ${id} ended`);
    return this.of(id).find(isEnd)!;
  }

  async next(type: string, count = 1): Promise<Received> {
    const found = (): Received[] => this.messages.filter((message) => message.type === type);
    await until(() => found().length >= count, `${count} of ${type} came`);
    return found()[count - 1]!;
  }

  async waitClosed(): Promise<{ code: number; reason: string }> {
    await until(() => this.closed !== undefined, 'the connection was closed');
    return this.closed!;
  }
}
