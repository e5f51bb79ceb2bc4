// The command `warm`: the texts of a file to a running server, so that its cache has them when clients ask.
// Standard output gets one line at the end; everything for people goes to standard error.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExitError } from './cli.ts';
import type { Config } from './config.ts';
import { echoCharsMax, retryAfterMsMin, warmRequestsAtOnce, warmTextsPerRequest, warmTriesMax } from './limits.ts';

/** Sends each text of `file` to the server at the options' host and port. Throws ExitError. */
export async function warm(file: string, config: Config): Promise<void> {
  const server = new WarmClient(config);
  const model = config.modelName ?? (await server.firstModel());
  let sent = 0;
  const running = new Set<Promise<void>>();
  for await (const texts of batches(textsOf(file))) {
    const sending = server.embed(model, texts).then(() => {
      sent += texts.length;
      running.delete(sending);
    });
    running.add(sending);
    if (running.size >= warmRequestsAtOnce) await Promise.race(running);
  }
  await Promise.all(running);
  console.log(`${sent} texts are in the cache of ${model}.`);
}

/**
 * The text of a line: a JSON string, the field `text` or `input` of a JSON object, or the line as it is.
 * Undefined for an empty line. Throws ExitError for an object without such a field.
 */
export function textOfLine(line: string): string | undefined {
  if (line.trim() === '') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return line;
  }
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return line;
  const { text, input } = value as { text?: unknown; input?: unknown };
  const found = text ?? input;
  if (typeof found === 'string') return found;
  throw new ExitError('config', `A line has neither text nor input as a string: ${line.slice(0, echoCharsMax)}`);
}

async function* textsOf(file: string): AsyncIterable<string> {
  try {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      const text = textOfLine(line);
      if (text !== undefined && text !== '') yield text;
    }
  } catch (error) {
    if (error instanceof ExitError) throw error;
    throw new ExitError('config', `${file} cannot be read: ${(error as Error).message}`);
  }
}

async function* batches(texts: AsyncIterable<string>): AsyncIterable<string[]> {
  let batch: string[] = [];
  for await (const text of texts) {
    batch.push(text);
    if (batch.length < warmTextsPerRequest) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

class WarmClient {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor({ host, port, apiKey }: Config) {
    // Where a server listens on all addresses, it is on this machine.
    const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
    this.#url = `http://${name}:${port}`;
    this.#headers = { 'content-type': 'application/json', ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) };
  }

  async firstModel(): Promise<string> {
    const { data } = (await (await this.#ask('/v1/models')).json()) as { data: { id: string }[] };
    if (data[0] === undefined) throw new ExitError('unavailable', `${this.#url} has no embedding model.`);
    return data[0].id;
  }

  async embed(model: string, input: readonly string[]): Promise<void> {
    await (await this.#ask('/v1/embeddings', JSON.stringify({ model, input, encoding_format: 'base64' }))).arrayBuffer();
  }

  /** Waits where the server says that it is busy. */
  async #ask(path: string, body?: string): Promise<Response> {
    for (let tries = 1; ; tries += 1) {
      const init = body === undefined ? { headers: this.#headers } : { method: 'POST', body, headers: this.#headers };
      const answer = await fetch(this.#url + path, init).catch((error: Error) => {
        throw new ExitError('unavailable', `${this.#url} cannot be reached: ${String((error.cause as Error | undefined)?.message ?? error.message)}`);
      });
      if (answer.ok) return answer;
      const text = await answer.text();
      const isBusy = answer.status === 429 || answer.status === 503;
      if (!isBusy || tries === warmTriesMax) throw new ExitError('unavailable', `The server answered ${answer.status}: ${text.slice(0, 300)}`);
      await sleep(Number(answer.headers.get('retry-after-ms') ?? retryAfterMsMin));
    }
  }
}
