// What the commands say to a running server: the one at the options' host and port, with the options' key.
import type { ReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExitError } from './cli.ts';
import type { Config } from '../config.ts';
import { retryAfterMsMin, warmTriesMax } from '../limits.ts';

export class ServerClient {
  readonly url: string;
  readonly #headers: Record<string, string>;

  constructor({ host, port, apiKey }: Config) {
    // Where a server listens on all addresses, it is on this machine.
    const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
    this.url = `http://${name}:${port}`;
    this.#headers = { 'content-type': 'application/json', ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) };
  }

  /** The answer to a request that succeeded. Waits where the server says that it is busy. Throws ExitError. */
  async ask(method: string, path: string, body?: () => string | ReadStream): Promise<Response> {
    for (let tries = 1; ; tries += 1) {
      const init = { method, headers: this.#headers, ...(body && { body: body() as string, duplex: 'half' as const }) };
      const answer = await fetch(this.url + path, init).catch((error: Error) => {
        throw new ExitError('unavailable', `${this.url} cannot be reached: ${String((error.cause as Error | undefined)?.message ?? error.message)}`);
      });
      if (answer.ok) return answer;
      const text = await answer.text();
      const isBusy = answer.status === 429 || answer.status === 503;
      if (!isBusy || tries === warmTriesMax) throw new ExitError('unavailable', `The server answered ${answer.status}: ${text.slice(0, 300)}`);
      await sleep(Number(answer.headers.get('retry-after-ms') ?? retryAfterMsMin));
    }
  }
}
