// Where the hub is, who asks, and where its files are kept: huggingface_hub's rules, applied to our options.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import type { Config } from '../config.ts';
import { hubRetryMs, hubTriesMax } from '../limits.ts';
import { HubError } from './hub-error.ts';

export type HubSettings = {
  /** Without a closing slash. */
  readonly endpoint: string;
  readonly token: string | undefined;
  /** Shared with Python's huggingface_hub; absolute. */
  readonly cacheDirectory: string;
  /** Only the cache is used; nothing is asked for. */
  readonly offline: boolean;
  /** How long the answer to a question may take. */
  readonly requestTimeoutMs: number;
  /** How long a download may stand still. */
  readonly downloadTimeoutMs: number;
  /** All files of one model together. */
  readonly modelBytesMax: number;
  /** Tries of one request in a row that brought nothing. */
  readonly triesMax: number;
  /** The wait after the first of them; it doubles. */
  readonly retryMs: number;
};

/** Throws HubError where the options cannot be used. */
export function hubSettings(config: Config): HubSettings {
  checkEndpoint(config.hubEndpoint);
  if (config.hubToken !== undefined && !isToken(config.hubToken)) {
    throw new HubError('refused', 'HF_TOKEN has spaces or characters beyond ASCII: it is no token.');
  }
  const home = absolute(config.hubHome ?? path.join(config.cacheHome ?? '~/.cache', 'huggingface'));
  return {
    endpoint: config.hubEndpoint.replace(/\/+$/, ''),
    token: config.hubToken ?? readToken(absolute(config.hubTokenPath ?? path.join(home, 'token'))),
    cacheDirectory: absolute(config.hubCache ?? path.join(home, 'hub')),
    offline: config.hubOffline,
    requestTimeoutMs: config.hubRequestTimeoutMs,
    downloadTimeoutMs: config.hubDownloadTimeoutMs,
    modelBytesMax: config.modelBytesMax,
    triesMax: hubTriesMax,
    retryMs: hubRetryMs,
  };
}

function absolute(folder: string): string {
  return path.resolve(folder.replace(/^~(?=$|[\\/])/, () => homedir()));
}

function checkEndpoint(endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  const isBare = url?.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (isWeb && isBare) return;
  // Not the value itself: it may hold a password.
  throw new HubError('refused', 'HF_ENDPOINT must be a URL such as https://hub.example.com, without user and query.');
}

/** A header takes nothing else, and the error about it would show the token. */
function isToken(text: string): boolean {
  return /^[!-~]+$/.test(text);
}

/** What `hf auth login` has left; a file that cannot be read is none, as for huggingface_hub. */
function readToken(file: string): string | undefined {
  try {
    const token = readFileSync(file, 'utf8').trim();
    return isToken(token) ? token : undefined;
  } catch {
    return undefined;
  }
}
