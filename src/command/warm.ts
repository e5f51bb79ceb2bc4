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
  // The server at the options' port has the options' bounds.
  const textsMax = Math.min(warmTextsPerRequest, config.openaiInputsMax);
  const bytesMax = config.requestBytesMax - Buffer.byteLength(bodyOf(model, []));
  await sendAll(batches(textsOf(file), textsMax, bytesMax), async (texts) => {
    await server.askText('POST', '/v1/embeddings', () => bodyOf(model, texts));
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

/** A text of more than `bytesMax` as JSON goes alone: the server says what is wrong with it. */
async function* batches(texts: AsyncIterable<string>, textsMax: number, bytesMax: number): AsyncIterable<string[]> {
  let batch: string[] = [];
  let batchBytes = 0;
  for await (const text of texts) {
    // With a comma.
    const bytes = Buffer.byteLength(JSON.stringify(text)) + 1;
    if (batch.length === textsMax || (batch.length > 0 && batchBytes + bytes > bytesMax)) {
      yield batch;
      batch = [];
      batchBytes = 0;
    }
    batch.push(text);
    batchBytes += bytes;
  }
  if (batch.length > 0) yield batch;
}

async function firstModel(server: ServerClient): Promise<string> {
  const { data } = (await server.askObject('data', 'GET', '/v1/models')) as { data: { id?: string }[] };
  const first = data[0]?.id;
  if (first === undefined) throw new ExitError('unavailable', `${server.url} has no embedding model.`);
  return first;
}

function bodyOf(model: string, input: readonly string[]): string {
  return JSON.stringify({ model, input, encoding_format: 'base64' });
}
