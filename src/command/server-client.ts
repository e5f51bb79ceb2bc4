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

  /** That answer as text. Throws ExitError. */
  async askText(method: string, path: string, body?: () => string | ReadStream): Promise<string> {
    const answer = await this.ask(method, path, body);
    return answer.text().catch((error: Error) => {
      throw new ExitError('unavailable', `The answer of ${this.url} broke off: ${causeText(error)}`);
    });
  }

  /** That answer as an object, which has `field` where a server of ours gives it. Throws ExitError. */
  async askObject(field: string, method: string, path: string, body?: () => string | ReadStream): Promise<object> {
    const text = await this.askText(method, path, body);
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === 'object' && value !== null && field in value) return value;
    } catch {
      // Told below.
    }
    throw new ExitError('unavailable', `${this.url} does not answer as this server does; are HOST and PORT right?`);
  }

  /** The answer to a request that succeeded. Waits where the server says that it is busy. Throws ExitError. */
  async ask(method: string, path: string, body?: () => string | ReadStream): Promise<Response> {
    for (let tries = 1; ; tries += 1) {
      const init = { method, headers: this.#headers, ...(body && { body: body() as string, duplex: 'half' as const }) };
      const answer = await fetch(this.url + path, init).catch((error: Error) => {
        throw new ExitError('unavailable', `${this.url} cannot be reached: ${causeText(error)}`);
      });
      if (answer.ok) return answer;
      const text = await answer.text().catch(() => '');
      const isBusy = answer.status === 429 || answer.status === 503;
      if (!isBusy || tries === warmTriesMax) throw new ExitError('unavailable', `The server answered ${answer.status}: ${text.slice(0, 300)}`);
      await sleep(Number(answer.headers.get('retry-after-ms') ?? retryAfterMsMin));
    }
  }
}

/** fetch itself only says that it failed. */
function causeText({ cause, message }: Error): string {
  return (cause as Error | undefined)?.message ?? message;
}
