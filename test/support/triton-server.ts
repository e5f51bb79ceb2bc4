// A real Triton Inference Server with the protein ensemble, for tests: a process on free ports.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sharedDirectory, skipUnless } from './fixtures.ts';
import { freePort } from './free-port.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { skipUnlessRuns } from './programs.ts';

const startFile = path.join(sharedDirectory(), 'triton/start');
const environment = process.env['TRITON_VENV'] ?? path.join(tmpdir(), 'triton-for-tests');
/** Its Python environment is made at its first use, unless .ci/run has made it before. */
const startMsMax = 300_000;

/** For a test's `skip`: why it cannot run here, or false. In CI what is missing is an error. */
export function skipUnlessTriton(): string | false {
  return skipUnless(startFile) || skipUnlessRuns('Python 3 with venv', 'python3', '-c', 'import venv');
}

/** Planted in the model: each batch waits, every n-th fails. */
export type TritonFaults = { readonly delayMs?: number; readonly failEvery?: number };

export type TritonServer = {
  /** As TRITON_URL takes it. */
  readonly address: string;
  readonly httpUrl: string;
  /** As `kill -9`; its port refuses connections then. */
  kill(): Promise<void>;
  /** Starts again on the same ports after kill(), with these faults from now on. */
  restart(faults?: TritonFaults): Promise<void>;
  /** Takes connections but answers nothing until it resumes. */
  pause(): void;
  resume(): void;
  /** Successful inference requests since it started, by Triton's own count, a moment after the last. */
  inferences(): Promise<number>;
};

/** @param directory a copy of the shared folder, to run other models than those there */
export async function startTritonServer(
  t: { after(end: () => Promise<void>): void }, faults: TritonFaults = {}, directory = path.dirname(startFile),
): Promise<TritonServer> {
  const [http, grpc, metrics] = (await Promise.all([freePort(), freePort(), freePort()])) as [number, number, number];
  const ports = { HTTP_PORT: String(http), GRPC_PORT: String(grpc), METRICS_PORT: String(metrics) };
  let child = await start(directory, ports, faults);
  t.after(() => kill(child));
  return {
    address: `127.0.0.1:${grpc}`,
    httpUrl: `http://127.0.0.1:${http}`,
    kill: () => kill(child),
    restart: async (next = {}) => {
      child = await start(directory, ports, next);
    },
    pause: () => signalGroup(child, 'SIGSTOP'),
    resume: () => signalGroup(child, 'SIGCONT'),
    inferences: async () => {
      // It counts a request after it has answered.
      await sleep(100);
      const answer = await fetch(`http://127.0.0.1:${http}/v2/models/prot_t5_pipeline/stats`);
      const { model_stats } = (await answer.json()) as { model_stats: { inference_stats: { success: { count: number } } }[] };
      return model_stats[0]!.inference_stats.success.count;
    },
  };
}

/** The shared folder with its models, to change; removed with the test. */
export function copyOfTriton(t: { after(end: () => void): void }): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-triton-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  // File by file: what lies there may be read-only, and so would copies of its folders be.
  for (const name of readdirSync(path.dirname(startFile), { recursive: true, encoding: 'utf8' })) {
    const from = path.join(path.dirname(startFile), name);
    if (statSync(from).isDirectory()) continue;
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), readFileSync(from), { mode: 0o755 });
  }
  return directory;
}

/** What the ensemble must answer, as the folder's own check computes it: FP16 rows, one after another. */
export function expectedRows(sequences: readonly string[]): Uint16Array {
  const program = 'import sys, json; from check import expected; sys.stdout.buffer.write(b"".join(expected(s).tobytes() for s in json.load(sys.stdin)))';
  const bytes = execFileSync(path.join(environment, 'bin/python'), ['-c', program], {
    cwd: path.dirname(startFile),
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    input: JSON.stringify(sequences),
    maxBuffer: 1 << 28,
  });
  return new Uint16Array(new Uint8Array(bytes).buffer);
}

async function start(directory: string, ports: Record<string, string>, { delayMs = 0, failEvery = 0 }: TritonFaults): Promise<ChildProcess> {
  const env = { ...process.env, ...ports, TRITON_VENV: environment, DELAY_MS: String(delayMs), FAIL_EVERY: String(failEvery) };
  // Only one may make the Python environment.
  return oneAtATime(`${environment}.lock`, startMsMax, async () => {
    // A group of its own: the processes that run its Python models end with it.
    const child = spawn(path.join(directory, 'start'), [], { env, stdio: 'ignore', detached: true });
    // A test that breaks off must not leave it behind.
    const end = () => signalGroup(child, 'SIGKILL');
    process.once('exit', end);
    child.once('exit', () => process.off('exit', end));
    const deadlineMs = performance.now() + startMsMax;
    while (!(await isReady(ports['HTTP_PORT']!))) {
      if (child.exitCode !== null) throw new Error(`${startFile} ended with ${child.exitCode}.`);
      if (performance.now() > deadlineMs) {
        await kill(child);
        throw new Error(`${startFile} was not ready in time.`);
      }
      await sleep(50);
    }
    return child;
  });
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  signalGroup(child, 'SIGKILL');
  await ended;
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal);
  } catch {
    // It has ended by itself.
  }
}

async function isReady(port: string): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/v2/health/ready`).catch(() => undefined);
  return answer?.ok === true;
}
