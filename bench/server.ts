// A server in a child process: started on a free port, waited for, stopped, and killed when the bench ends before it.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../test/support/free-port.ts';

const startMsMax = 60_000;
const stopMsMax = 15_000;
/** Between two tries to reach a starting server; the start times are this exact. */
const pollMs = 5;

/** What a bench wants of any server whatever its defaults: computing measured, no limit on requests, no pause before it ends. */
const benchEnvironment = { HOST: '127.0.0.1', ENABLE_EMBEDDING_CACHE: 'false', ENABLE_RATE_LIMIT: 'false', DRAIN_DELAY: '0' };

export type Exchange = { readonly status: number; readonly body: string };

export class ChildServer {
  readonly pid: number;
  readonly port: number;
  readonly startedMs: number;
  readonly #child: ChildProcess;
  readonly #logFile: string;

  private constructor(child: ChildProcess, port: number, logFile: string) {
    this.pid = child.pid ?? 0;
    this.port = port;
    this.startedMs = performance.now();
    this.#child = child;
    this.#logFile = logFile;
    running.add(child);
    child.once('exit', () => running.delete(child));
  }

  /** Starts `file` with `PORT` and `environment` set; its output goes to `logFile`, which costs the bench nothing. */
  static async start(
    file: string,
    environment: Readonly<Record<string, string>>,
    logFile: string,
  ): Promise<ChildServer> {
    const port = await freePort();
    mkdirSync(path.dirname(logFile), { recursive: true });
    const log = openSync(logFile, 'w');
    const env = { ...process.env, ...benchEnvironment, ...environment, PORT: String(port) };
    const child = spawn(process.execPath, [file], { env, stdio: ['ignore', log, log] });
    closeSync(log);
    return new ChildServer(child, port, logFile);
  }

  /** Tries until `method path` is answered with 200. Throws when the server ends or does not get there in time. */
  async until200(method: string, urlPath: string, body?: string): Promise<Exchange> {
    const deadline = performance.now() + startMsMax;
    let last = 'no answer';
    while (performance.now() < deadline && this.#child.exitCode === null && this.#child.signalCode === null) {
      const answer = await exchange(this.port, method, urlPath, body).catch(() => undefined);
      if (answer?.status === 200) return answer;
      if (answer !== undefined) last = `${answer.status} ${answer.body.slice(0, 200)}`;
      await sleep(pollMs);
    }
    const tail = readFileSync(this.#logFile, 'utf8').slice(-2000);
    throw new Error(`${method} ${urlPath} never gave 200; last: ${last}\n${tail}`);
  }

  /** Asks it to end, waits, and kills it when it does not. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopMsMax);
    await ended;
    clearTimeout(timer);
  }
}

const running = new Set<ChildProcess>();

/** Makes sure that no server outlives the bench, however it ends. */
export function killServersAtExit(): void {
  const killAll = () => running.forEach((child) => child.kill('SIGKILL'));
  process.once('exit', killAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      killAll();
      // Ends by the signal itself: process.exit aborts noisily when a worker is inside native code.
      process.kill(process.pid, signal);
    });
  }
}

function exchange(port: number, method: string, urlPath: string, body: string | undefined): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request({ host: '127.0.0.1', port, method, path: urlPath, headers, agent: false }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (part: string) => (text += part));
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body: text }));
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
