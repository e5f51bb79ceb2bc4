// The command `warm`: the texts of a file to a running server, so that its cache has them when clients ask.
// Standard output gets one line at the end; everything for people goes to standard error.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { sendAll } from './at-once.ts';
import { ExitError } from './cli.ts';
import type { Config } from '../config.ts';
import { echoCharsMax, warmTextsPerRequest } from '../limits.ts';
import { ServerClient } from './server-client.ts';

/** Before the first line of files from some editors; clients do not send it. */
const byteOrderMark = /^\ufeff/;

/** Sends each text of `file` to the server at the options' host and port. Throws ExitError. */
export async function warm(file: string, config: Config): Promise<void> {
  const server = new ServerClient(config);
  const model = config.modelName ?? (await firstModel(server));
  let sent = 0;
  await sendAll(batches(textsOf(file)), async (texts) => {
    await embed(server, model, texts);
    sent += texts.length;
  });
  console.log(`${sent} texts are in the cache of ${model}.`);
}

/**
 * The text of a line: a JSON string, the field `text` or `input` of a JSON object, or the line as it is.
 * Undefined for an empty line. Throws ExitError for an object without such a field.
 */
export function textOfLine(wholeLine: string): string | undefined {
  const line = wholeLine.replace(byteOrderMark, '');
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

async function firstModel(server: ServerClient): Promise<string> {
  const { data } = (await (await server.ask('GET', '/v1/models')).json()) as { data: { id: string }[] };
  if (data[0] === undefined) throw new ExitError('unavailable', `${server.url} has no embedding model.`);
  return data[0].id;
}

async function embed(server: ServerClient, model: string, input: readonly string[]): Promise<void> {
  const body = () => JSON.stringify({ model, input, encoding_format: 'base64' });
  await (await server.ask('POST', '/v1/embeddings', body)).arrayBuffer();
}
