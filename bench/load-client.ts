// The closed-loop client's own thread: raw keep-alive sockets, each sending its next request when the last is answered.
// It shares the cores with the server, so requests are built before the clock starts and answers are only counted.
import { connect, type Socket } from 'node:net';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';
import { AnswerReader } from './answer-reader.ts';
import { textsFrom, type Profile } from './corpus.ts';

export type LoadOrder = {
  readonly port: number;
  readonly path: string;
  /** The model name of the request body. */
  readonly model: string;
  readonly profile: Profile;
  readonly connections: number;
  readonly textsPerRequest: number;
  /** The first text to send; later orders must start at `nextText` for all texts to stay distinct. */
  readonly firstText: number;
  /** At least this long before counting, and at least one answer on each connection. */
  readonly warmupMs: number;
  readonly measureMs: number;
  /** How many requests to build beforehand; more are built under way, at the cost of the client's time. */
  readonly requestsAhead: number;
  /** Sends the requests built beforehand again and again: for servers that cannot cache. */
  readonly repeat: boolean;
};

export type LoadResult = {
  readonly requestsPerSecond: number;
  /** Milliseconds times 1000, of the requests sent while counting. */
  readonly latencyMicros: RecordableHistogram;
  readonly nextText: number;
  readonly answerBytes: number;
};

/** `order` builds the requests and is answered with `ready`; `go` sends them and is answered with the result. */
export type LoadMessage = { readonly order: LoadOrder } | 'go';
export type LoadAnswer = 'ready' | { readonly result: LoadResult } | { readonly error: string };

const port = parentPort!;
let loop: ClosedLoop | undefined;
port.on('message', (message: LoadMessage) => {
  if (message !== 'go') {
    loop = new ClosedLoop(message.order);
    return answer('ready');
  }
  loop!.run().then(
    (result) => answer({ result }),
    (error: unknown) => answer({ error: String(error) }),
  );
});

function answer(message: LoadAnswer): void {
  port.postMessage(message);
}

class ClosedLoop {
  readonly #order: LoadOrder;
  readonly #ahead: Buffer[];
  readonly #latency = createHistogram();
  readonly #connections: Connection[] = [];
  #nextText: number;
  #nextRequest = 0;
  #answerBytes = 0;
  #windowStart = Infinity;
  #windowEnd = Infinity;
  /** Requests answered inside the window; one that crosses its border counts by the part inside. */
  #requests = 0;
  #stopping = false;

  constructor(order: LoadOrder) {
    this.#order = order;
    this.#nextText = order.firstText;
    this.#ahead = Array.from({ length: order.requestsAhead }, () => this.#build());
  }

  async run(): Promise<LoadResult> {
    const { connections, warmupMs } = this.#order;
    const sockets = await Promise.all(Array.from({ length: connections }, () => Connection.open(this.#order.port)));
    this.#connections.push(...sockets);
    const startMs = performance.now();
    try {
      await Promise.all(sockets.map((connection) => this.#drive(connection, startMs + warmupMs)));
    } finally {
      for (const connection of sockets) connection.close();
    }
    return {
      requestsPerSecond: (this.#requests / this.#order.measureMs) * 1000,
      latencyMicros: this.#latency,
      nextText: this.#nextText,
      answerBytes: this.#answerBytes,
    };
  }

  /** Resolves when the window is over and the connection's last request is answered. */
  #drive(connection: Connection, warmUntil: number): Promise<void> {
    return new Promise((resolve, reject) => {
      connection.onFailure = reject;
      connection.onAnswer = (status, bytes) => {
        if (status !== 200) return reject(new Error(`The server answered ${status}.`));
        const now = performance.now();
        this.#answerBytes = bytes;
        this.#count(connection, now);
        if (this.#windowEnd === Infinity && now >= warmUntil && this.#connections.every((other) => other.answers > 0)) {
          this.#windowStart = now;
          this.#windowEnd = now + this.#order.measureMs;
        }
        // The load stays on until all that was sent inside the window is answered, or its end would run faster.
        this.#stopping ||=
          now >= this.#windowEnd &&
          this.#connections.every((other) => other === connection || other.sentMs >= this.#windowEnd);
        if (this.#stopping) return resolve();
        connection.send(this.#request());
      };
      connection.send(this.#request());
    });
  }

  #count(connection: Connection, now: number): void {
    const inside = Math.min(now, this.#windowEnd) - Math.max(connection.sentMs, this.#windowStart);
    if (inside <= 0) return;
    const latencyMs = now - connection.sentMs;
    this.#requests += inside / latencyMs;
    if (connection.sentMs >= this.#windowStart) this.#latency.record(Math.max(1, Math.round(latencyMs * 1000)));
  }

  #request(): Buffer {
    const built = this.#ahead[this.#order.repeat ? this.#nextRequest % this.#ahead.length : this.#nextRequest];
    this.#nextRequest += 1;
    return built ?? this.#build();
  }

  #build(): Buffer {
    const { model, path, profile, textsPerRequest } = this.#order;
    const texts = textsFrom(profile, this.#nextText, textsPerRequest);
    this.#nextText += textsPerRequest;
    const input = textsPerRequest === 1 ? texts[0] : texts;
    const body = JSON.stringify({ model, input, encoding_format: 'base64' });
    const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n`;
    return Buffer.from(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }
}

/** One keep-alive socket with at most one request on its way. */
class Connection {
  /** When the request on its way was sent. */
  sentMs = 0;
  answers = 0;
  onAnswer: (status: number, bodyBytes: number) => void = () => {};
  onFailure: (error: Error) => void = () => {};
  readonly #socket: Socket;
  readonly #reader = new AnswerReader();
  #closing = false;

  private constructor(port: number) {
    // One buffer for all that arrives: nothing is allocated or kept for an answer.
    const onread = { buffer: Buffer.alloc(65_536), callback };
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread });
    const read = (bytes: Buffer) => this.#read(bytes);
    function callback(count: number, buffer: Uint8Array): boolean {
      read(buffer.subarray(0, count) as Buffer);
      return true;
    }
    this.#socket.on('error', (error) => this.onFailure(error));
    this.#socket.on('close', () => {
      if (!this.#closing) this.onFailure(new Error('The server closed a connection.'));
    });
  }

  static open(port: number): Promise<Connection> {
    const connection = new Connection(port);
    return new Promise((resolve, reject) => {
      connection.onFailure = reject;
      connection.#socket.once('connect', () => resolve(connection));
    });
  }

  send(request: Buffer): void {
    this.sentMs = performance.now();
    this.#socket.write(request);
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    if (!this.#reader.push(bytes)) return;
    this.answers += 1;
    this.onAnswer(this.#reader.status, this.#reader.bodyBytes);
  }
}
