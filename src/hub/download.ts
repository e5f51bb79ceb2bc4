// One file from the hub into the cache's blobs: resumed where a part lies, checked, then renamed.
// Invariant: a blob has its final name only when its bytes are those that the hub's hash stands for.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { hubHeadwayBytes } from '../limits.ts';
import type { RepoCache } from './cache.ts';
import { HubError } from './hub-error.ts';
import { ask } from './http.ts';
import type { HubFile } from './listing.ts';
import { withLock } from './lock.ts';
import { fileUrl } from './names.ts';
import type { RepoName } from './names.ts';
import { Transient, retrying } from './retry.ts';
import type { HubSettings } from './settings.ts';

export type Download = {
  readonly settings: HubSettings;
  readonly cache: RepoCache;
  /** At a commit. */
  readonly repo: RepoName;
  readonly file: HubFile;
  readonly signal: AbortSignal | undefined;
  /** How many bytes of this file are here; may go back. */
  readonly onBytes: (bytes: number) => void;
};

const wholeDownloadsMax = 2;

/** Returns at once when the blob is there; waits when another process downloads it. Throws HubError. */
export async function downloadBlob(download: Download): Promise<void> {
  const { settings, cache, repo, file, signal } = download;
  if (await cache.hasBlob(file)) return;
  await withLock(cache.lock(file.etag), async () => {
    if (await cache.hasBlob(file)) return;
    const blob = cache.blob(file.etag);
    const part = partOf(blob);
    for (let downloads = 1; ; downloads += 1) {
      const patience = { triesMax: settings.triesMax, retryMs: settings.retryMs, signal };
      await retrying((headway) => fetchRest(download, part, headway), patience);
      const problem = await problemOf(part, file);
      if (problem === undefined) break;
      await rm(part, { force: true });
      if (downloads === wholeDownloadsMax) {
        const what = `${file.path} of ${repo.id} came corrupt twice`;
        throw new HubError('unavailable', `${what}, and was deleted: ${problem}.`);
      }
    }
    await rename(part, blob);
  }, signal);
}

/** How much of the file is still to come. */
export async function lackingBytes(cache: RepoCache, file: HubFile): Promise<number> {
  if (file.bytes === undefined || await cache.hasBlob(file)) return 0;
  return Math.max(0, file.bytes - ((await sizeOf(partOf(cache.blob(file.etag)))) ?? 0));
}

/** Not Python's `.incomplete`, which a process of its own may be writing. */
function partOf(blob: string): string {
  return `${blob}.ortserve.incomplete`;
}

/** One try: appends what the part lacks. Throws Transient when it got less than all. */
async function fetchRest(download: Download, part: string, headway: () => void): Promise<void> {
  const { settings, repo, file, signal } = download;
  const about = `${file.path} of ${repo.id}`;
  let start = await partBytes(part, file);
  download.onBytes(start);
  if (file.bytes !== undefined && start === file.bytes && start > 0) return;
  const answer = await ask(settings, {
    url: fileUrl(settings.endpoint, repo, file.path),
    headers: start > 0 ? { range: `bytes=${start}-` } : {},
    timeoutMs: settings.downloadTimeoutMs, about, repo, signal,
  });
  // Some networks answer with the whole file; its bytes go over those that are there.
  if (start > 0 && answer.status !== 206) start = 0;
  const from = /^bytes (\d+)-/.exec(answer.headers.get('content-range') ?? '')?.[1];
  if (answer.status === 206 && Number(from) !== start) {
    answer.close();
    await rm(part, { force: true });
    throw new Transient(`${about}: the answer is another part of the file than was asked for`);
  }
  // Neither truncated nor appended to: should two processes write it, both write the same bytes.
  const handle = await open(part, start === 0 && file.bytes === undefined ? 'w' : await modeOf(part));
  try {
    const end = await writeChunks(download, handle, { start, chunks: answer.chunks(), headway });
    if (file.bytes !== undefined && end < file.bytes) {
      throw new Transient(`${about}: the download ended after ${end} of ${file.bytes} bytes`);
    }
    await handle.truncate(end);
    await handle.sync();
  } finally {
    answer.close();
    await handle.close();
  }
}

type Writing = {
  readonly start: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly headway: () => void;
};

/** Returns where the file ends now. */
async function writeChunks(download: Download, handle: FileHandle, writing: Writing): Promise<number> {
  const { settings, file, repo, onBytes } = download;
  const bytesMax = file.bytes ?? settings.modelBytesMax;
  let end = writing.start;
  for await (const chunk of writing.chunks) {
    if (end + chunk.length > bytesMax) {
      const what = `${file.path} of ${repo.id}`;
      throw new HubError('unavailable', `${what} is longer than the ${bytesMax} bytes it should have.`);
    }
    for (let written = 0; written < chunk.length;) {
      written += (await handle.write(chunk, written, chunk.length - written, end + written)).bytesWritten;
    }
    end += chunk.length;
    onBytes(end);
    if (end - writing.start >= hubHeadwayBytes) writing.headway();
  }
  return end;
}

async function partBytes(part: string, file: HubFile): Promise<number> {
  const bytes = await sizeOf(part);
  if (bytes === undefined) return 0;
  // Without a known end nothing says whether a part is all.
  if (file.bytes !== undefined && bytes <= file.bytes) return bytes;
  await rm(part, { force: true });
  return 0;
}

async function modeOf(part: string): Promise<'r+' | 'w'> {
  return (await sizeOf(part)) === undefined ? 'w' : 'r+';
}

async function sizeOf(file: string): Promise<number | undefined> {
  return stat(file).then(({ size }) => size, () => undefined);
}

/** What is wrong with the bytes; undefined when they are right, or when the etag is no hash that we know. */
async function problemOf(part: string, { etag, bytes }: HubFile): Promise<string | undefined> {
  const size = (await sizeOf(part)) ?? 0;
  if (bytes !== undefined && size !== bytes) return `it has ${size} bytes, not ${bytes}`;
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) return undefined;
  // Large files are named by their SHA-256, small ones as git names blobs.
  const hash = etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
  for await (const chunk of createReadStream(part, { highWaterMark: 256 * 1024 })) hash.update(chunk as Buffer);
  const digest = hash.digest('hex');
  return digest === etag ? undefined : `its ${etag.length === 64 ? 'sha256' : 'git hash'} is ${digest}, not ${etag}`;
}
