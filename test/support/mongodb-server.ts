// A server that speaks MongoDB's protocol, for tests of the history: a process on a free port, with its own folder.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sharedDirectory, skipUnless } from './fixtures.ts';
import { freePort } from './free-port.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { skipUnlessRuns } from './programs.ts';

const startFile = join(sharedDirectory(), 'mongodb/start');
/** It is built at its first use. */
const startMsMax = 300_000;

/** For a test's `skip`: why it cannot run here, or false. In CI what is missing is an error. */
export function skipUnlessMongodb(): string | false {
  return skipUnless(startFile) || skipUnlessRuns('Go', 'go', 'version');
}

export type MongodbServer = {
  /** With that database; one of its own keeps tests apart. */
  url(database: string): string;
  /** As `kill -9`; its port refuses connections then. */
  kill(): Promise<void>;
  /** Starts again with the same port and data after kill(). */
  restart(): Promise<void>;
  /** Takes connections but answers nothing until it resumes. */
  pause(): void;
  resume(): void;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
};

export async function startMongodbServer(): Promise<MongodbServer> {
  const port = await freePort();
  const data = mkdtempSync(join(tmpdir(), 'ortserve-mongodb-'));
  let child = await start(port, data);
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return {
    url: (database) => `mongodb://127.0.0.1:${port}/${database}`,
    kill,
    restart: async () => {
      child = await start(port, data);
    },
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    stop: async () => {
      await kill();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

async function start(port: number, data: string): Promise<ChildProcess> {
  const env = { ...process.env, PORT: String(port), DATA: data };
  // Only one may build it.
  return oneAtATime(join(tmpdir(), 'mongodb-for-tests.lock'), startMsMax, async () => {
    const child = spawn(startFile, [], { env, stdio: 'ignore' });
    // A test that breaks off must not leave it behind.
    const end = () => child.kill('SIGKILL');
    process.once('exit', end);
    child.once('exit', () => process.off('exit', end));
    const deadlineMs = performance.now() + startMsMax;
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`${startFile} ended with ${child.exitCode}.`);
      if (performance.now() > deadlineMs) {
        child.kill('SIGKILL');
        throw new Error(`${startFile} did not listen in time.`);
      }
      await sleep(50);
    }
    return child;
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
