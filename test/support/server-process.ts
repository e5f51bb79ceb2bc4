// The real server as its own process, as a user starts it. Ends with the test, whatever happens to it.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { repositoryDirectory } from './repository.ts';

export const mainFile = join(repositoryDirectory, 'dist/src/main.js');

export type ServerProcess = {
  readonly url: string;
  readonly port: number;
  readonly process: ChildProcess;
  /** Parsed log lines so far. */
  readonly lines: readonly Record<string, unknown>[];
  /** Sends a signal and resolves with how the process ended. */
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** The value of one series of /metrics, labels included: `ortserve_inputs_total{model="m"}`. */
  metric(series: string): Promise<number>;
  /** Resident memory in bytes. */
  residentBytes(): number;
};

/** Only these of the tester's own variables reach the server: a stray PORT or MODEL_PATH would change the test. */
const inherited = ['PATH', 'HOME', 'TMPDIR', 'LANG'];

export function serverEnvironment(options: Record<string, string>, directory: string): Record<string, string> {
  const kept = inherited.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return { ...Object.fromEntries(kept), PORT: '0', DATA_DIR: join(directory, 'data'), ...options };
}

/** Starts it on a free port and waits until a model answers, unless `waitReady` is false. */
export async function startServerProcess(
  t: TestContext,
  options: Record<string, string> = {},
  { waitReady = true } = {},
): Promise<ServerProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  const child = spawn(process.execPath, [mainFile], {
    cwd: directory,
    env: serverEnvironment(options, directory),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  });
  const lines: Record<string, unknown>[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    void ended.then(({ code }) => reject(new Error(`the server ended with ${code} before it listened`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry = JSON.parse(line) as Record<string, unknown>;
      lines.push(entry);
      if (entry.msg === 'listening') resolve(entry.port as number);
    });
  });
  const url = `http://127.0.0.1:${port}`;
  if (waitReady) await untilReady(url, child);
  return {
    url,
    port,
    process: child,
    lines,
    stop: (signal = 'SIGTERM') => {
      child.kill(signal);
      return ended;
    },
    metric: async (series) => {
      const text = await (await fetch(`${url}/metrics`)).text();
      const line = text.split('\n').find((each) => each.startsWith(`${series} `));
      assert.ok(line, `/metrics has no ${series}`);
      return Number(line.slice(series.length + 1));
    },
    residentBytes: () => {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
    },
  };
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    const answer = await fetch(`${url}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`the server ended with ${child.exitCode ?? child.signalCode} before it was ready`);
}
