// A Redis of the test's own: a process on a free port, without files unless the test gives a folder. Ends with the test, frozen or not.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './free-port.ts';
import { skipUnlessRuns } from './programs.ts';

export const skipUnlessRedis = () => skipUnlessRuns('redis-server', 'redis-server', '--version');

export class RedisServer {
  readonly port: number;
  /** For the test's own commands. */
  readonly client: Redis;
  readonly #folder: string | undefined;
  #process: ChildProcess;

  private constructor(port: number, folder: string | undefined) {
    this.port = port;
    this.#folder = folder;
    this.#process = spawnRedis(port, folder);
    this.client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 20, maxRetriesPerRequest: null });
    // Not listening yet, or killed by the test.
    this.client.on('error', () => undefined);
  }

  /** With a folder, what it acknowledged is there after `kill` and `startAgain`. */
  static async start(t: Pick<TestContext, 'after'>, folder?: string): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), folder);
    t.after(() => {
      server.client.disconnect();
      server.#process.kill('SIGKILL');
    });
    await server.client.ping();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  freeze(): void {
    this.#process.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  /** After `kill`: on the same port, empty unless it has a folder. */
  async startAgain(): Promise<void> {
    this.#process = spawnRedis(this.port, this.#folder);
    await this.client.ping();
  }

  /** The keys of its cached vectors, once there are `count` of them. */
  async keys(count: number): Promise<string[]> {
    for (;;) {
      const keys = await this.client.keys('ortserve:embedding:*');
      if (keys.length >= count) return keys.sort();
      await sleep(5);
    }
  }
}

function spawnRedis(port: number, folder: string | undefined): ChildProcess {
  const kept = folder === undefined ? ['--appendonly', 'no'] : ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', folder];
  const options = ['--port', String(port), '--save', '', ...kept, '--bind', '127.0.0.1'];
  return spawn('redis-server', options, { stdio: 'ignore' });
}
