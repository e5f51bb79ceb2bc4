// The command `cache`: the semantic cache of a running server, looked at, emptied, filled and copied from a shell.
// What a program reads goes to standard output as JSON; NAME=VALUE words are the parameters of the server's own API.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { sendAll } from './at-once.ts';
import { ExitError } from './cli.ts';
import type { Config } from '../config.ts';
import { cacheEntriesPageMax, echoCharsMax } from '../limits.ts';
import { ServerClient } from './server-client.ts';

type Action = {
  /** Missing: none. */
  readonly operand?: 'ID' | 'FILE';
  /** Names that the server's API knows. */
  readonly parameters: readonly string[];
  run(server: ServerClient, operand: string, query: URLSearchParams): Promise<void>;
};

const actions: Readonly<Record<string, Action>> = {
  stats: { parameters: ['namespace'], run: (server, _operand, query) => printed(server, 'GET', `/cache/stats?${query}`) },
  list: { parameters: ['namespace', 'tag'], run: (server, _operand, query) => list(server, query) },
  delete: {
    operand: 'ID',
    parameters: ['namespace'],
    run: (server, id, query) => printed(server, 'DELETE', `/cache/entries/${encodeURIComponent(id)}?${query}`),
  },
  purge: {
    parameters: ['namespace', 'tag', 'older_than', 'all'],
    run: (server, _operand, query) => printed(server, 'DELETE', `/cache/entries?${query}`),
  },
  dump: { parameters: ['namespace'], run: (server, _operand, query) => dump(server, query) },
  load: { operand: 'FILE', parameters: ['namespace'], run: load },
  warm: { operand: 'FILE', parameters: ['namespace'], run: warm },
};

/** `words` are the action, its operand where it has one, and its parameters. Throws ExitError. */
export async function runCacheCommand(words: readonly string[], config: Config): Promise<void> {
  const [name = '', ...rest] = words;
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined;
  if (action === undefined) throw new ExitError('usage', `cache does ${Object.keys(actions).join(', ')}; not ${JSON.stringify(name.slice(0, echoCharsMax))}.`);
  const operand = action.operand === undefined ? '' : rest.shift();
  if (operand === undefined) throw new ExitError('usage', `cache ${name} needs ${action.operand === 'ID' ? 'an ID' : 'a FILE'}.`);
  const query = new URLSearchParams();
  for (const word of rest) {
    const [parameter, ...value] = word.split('=');
    if (value.length === 0 || !action.parameters.includes(parameter!)) {
      const known = action.parameters.map((each) => `${each}=…`).join(', ');
      throw new ExitError('usage', `cache ${name} takes ${known}; not ${JSON.stringify(word.slice(0, echoCharsMax))}.`);
    }
    query.set(parameter!, value.join('='));
  }
  await action.run(new ServerClient(config), operand, query);
}

async function printed(server: ServerClient, method: string, path: string): Promise<void> {
  console.log(await server.askText(method, path));
}

async function list(server: ServerClient, query: URLSearchParams): Promise<void> {
  query.set('limit', String(cacheEntriesPageMax));
  for (let offset = 0; ;) {
    query.set('offset', String(offset));
    const page = (await server.askObject('entries', 'GET', `/cache/entries?${query}`)) as { entries: object[]; total: number };
    for (const entry of page.entries) console.log(JSON.stringify(entry));
    offset += page.entries.length;
    if (page.entries.length === 0 || offset >= page.total) return;
  }
}

async function dump(server: ServerClient, query: URLSearchParams): Promise<void> {
  const { body } = await server.ask('GET', `/cache/dump?${query}`);
  try {
    if (body !== null) await pipeline(Readable.fromWeb(body as ReadableStream), process.stdout, { end: false });
  } catch (error) {
    throw new ExitError('unavailable', `The dump broke off: ${(error as Error).message}`);
  }
}

async function load(server: ServerClient, file: string, query: URLSearchParams): Promise<void> {
  await readable(file);
  const report = (await server.askObject('refused', 'POST', `/cache/load?${query}`, () => createReadStream(file))) as { refused: number };
  console.log(JSON.stringify(report));
  const { refused } = report;
  if (refused > 0) throw new ExitError('config', `${refused} lines of ${file} were refused.`);
}

/** Lines {query, response, tags?, ttl?}; the server says what is wrong with one. */
async function warm(server: ServerClient, file: string, query: URLSearchParams): Promise<void> {
  await readable(file);
  let put = 0;
  await sendAll(createInterface({ input: createReadStream(file), crlfDelay: Infinity }), async (line) => {
    if (line.trim() === '') return;
    await server.askText('POST', `/cache/entries?${query}`, () => line);
    put += 1;
  });
  console.log(`${put} entries are in the cache.`);
}

async function readable(file: string): Promise<void> {
  try {
    const handle = await open(file);
    const isFolder = (await handle.stat().finally(() => handle.close())).isDirectory();
    // It can be opened, and not read.
    if (isFolder) throw new Error('it is a folder');
  } catch (error) {
    throw new ExitError('config', `${file} cannot be read: ${(error as Error).message}`);
  }
}
