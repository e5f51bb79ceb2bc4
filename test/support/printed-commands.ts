// The services whose place this server takes, by their own descriptions: commands as they print them, and what
// else their texts name, so that a suite can say that it leaves nothing out.
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { sharedDirectory } from './fixtures.ts';
import { skipUnlessRuns } from './programs.ts';

const run = promisify(execFile);

export const needsCurl = () => skipUnlessRuns('curl', 'curl', '--version');

/** Runs a printed `curl` line in a shell, the service's own address replaced by this server's. The answer is JSON. */
export async function runPrinted(command: string, server: { readonly url: string }): Promise<Record<string, any>> {
  const here = command.replaceAll(/http:\/\/localhost:\d+/g, server.url).replaceAll(/^curl /gm, 'curl -sS --max-time 30 ');
  const { stdout } = await run('bash', ['-c', here]);
  return JSON.parse(stdout) as Record<string, any>;
}

export const descriptionsDirectory = path.join(sharedDirectory(), 'seeds');

/** The text of a service by its number. */
export function description(number: string): string {
  const file = readdirSync(descriptionsDirectory).find((name) => name.startsWith(`${number}_`))!;
  return readFileSync(path.join(descriptionsDirectory, file), 'utf8');
}

/** All first groups of a pattern's matches. */
export function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, group]) => group!);
}

export type Answer = { readonly status: number; readonly headers: Headers; readonly body: Record<string, any> };

/** A request with a JSON body, or one that is sent as it is. */
export async function send(
  server: { readonly url: string },
  line: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const [method, at] = line.split(' ') as [string, string];
  const sent = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await fetch(server.url + at, { method, headers, ...(body !== undefined && { body: sent }) });
  const text = await answer.text();
  const isJson = answer.headers.get('content-type')?.startsWith('application/json') === true;
  return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(text) : { text } };
}
