// What the tests of the transport share: a server on a free port with toy operations, and a socket that sends bytes
// no client would.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { ServerError } from '../../src/errors.ts';
import { errorTable } from '../../src/errors.ts';
import type { AnyOperation, Call, Reply } from '../../src/operation.ts';
import type { HttpOptions } from '../../src/transport/http.ts';
import { HttpServer, serveHttp } from '../../src/transport/http.ts';
import { loadUws } from '../../src/transport/listen.ts';
import { until } from '../support/until.ts';

export type Ended = { operation: string; status: number; error: ServerError | undefined };
export type Served = { server: HttpServer; url: string; ended: Ended[] };

/** A server that is closed with the test. */
export async function serve(
  t: TestContext, operations: readonly AnyOperation[], options: Partial<HttpOptions> = {},
): Promise<Served> {
  const uws = await loadUws();
  const ended: Ended[] = [];
  const server = await serveHttp(uws, uws.App(), operations, {
    host: '127.0.0.1',
    port: 0,
    requestTimeoutMs: 5000,
    requestBytesMax: 1024 * 1024,
    cors: { enabled: false, origins: [] },
    rateLimiter: undefined,
    errorShapes: [{ prefix: '/', encodeError }],
    observer: {
      ended: (call, reply, error) => { ended.push({ operation: call.operation.name, status: reply.status, error }); },
    },
    ...options,
  });
  t.after(() => server.close());
  return { server, url: `http://127.0.0.1:${server.port}`, ended };
}

export function encodeError(error: ServerError): Reply {
  return json({ code: error.code, message: error.message }, errorTable[error.code].http);
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Reply {
  return { status, contentType: 'application/json', headers, body: JSON.stringify(body) };
}

/** Answers with what `run` gives for the body as text. */
export function operation(
  method: AnyOperation['method'], path: string, run: (text: string, call: Call) => unknown,
  more: Partial<AnyOperation> = {},
): AnyOperation {
  return {
    name: `${method} ${path}`,
    method,
    path,
    summary: '',
    scope: 'public', group: 'Test',
    decode: (bytes) => Buffer.from(bytes).toString(),
    run,
    encode: (output) => json(output),
    encodeError,
    ...more,
  };
}

export const echo = operation('POST', '/echo', (text) => text);
/** The body's length and a cheap checksum, so that tests see every byte without sending it back. */
export const measure = operation('POST', '/measure', (output) => output, {
  decode: (bytes: Uint8Array) => ({ length: bytes.length, sum: bytes.reduce((sum, byte) => (sum + byte) % 65_521, 0) }),
});

/** What an operation can wait on, and what a test waits for. */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  #isOpen = false;

  get waiting(): number {
    return this.#waiting.length;
  }

  pass(): Promise<void> {
    return this.#isOpen ? Promise.resolve() : new Promise((resolve) => { this.#waiting.push(resolve); });
  }

  open(): void {
    this.#isOpen = true;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** A connection whose bytes are all seen. `received` is Latin-1, so that a character is a byte. */
export class RawClient {
  readonly socket: Socket;
  received = '';
  isClosed = false;
  errorCode: string | undefined;

  constructor(t: TestContext, port: number, host = '127.0.0.1') {
    this.socket = connect(port, host);
    this.socket.setNoDelay();
    this.socket.on('data', (bytes) => { this.received += bytes.toString('latin1'); });
    this.socket.on('error', (error: NodeJS.ErrnoException) => { this.errorCode = error.code; });
    this.socket.on('close', () => { this.isClosed = true; });
    t.after(() => this.socket.destroy());
  }

  send(text: string | Uint8Array): this {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
    return this;
  }

  async waitClosed(timeoutMs = 5000): Promise<string> {
    await this.#until(() => this.isClosed, 'the server closed the connection', timeoutMs);
    return this.received;
  }

  async waitFor(text: string, timeoutMs = 5000): Promise<string> {
    await this.#until(() => this.received.includes(text), `${text} came`, timeoutMs);
    return this.received;
  }

  async #until(condition: () => boolean, what: string, timeoutMs: number): Promise<void> {
    await until(condition, what, timeoutMs).catch((error: Error) => {
      throw new Error(`${error.message} Received: ${JSON.stringify(this.received.slice(0, 1000))}`);
    });
  }
}

/** A request as bytes, with a Host and, for a body, its length, unless the headers say otherwise. */
export function request(line: string, headers: readonly string[] = [], body = ''): string {
  const framed = headers.some((header) => /^(content-length|transfer-encoding)/i.test(header));
  const length = body === '' || framed ? [] : [`Content-Length: ${body.length}`];
  return [`${line} HTTP/1.1`, 'Host: test', ...headers, ...length, '', body].join('\r\n');
}

export function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
}
