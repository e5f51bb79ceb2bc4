// What files a commit has: asked of the hub, or read where an earlier pull has written it down.
// A commit never changes, so its listing is kept for good, in the format of huggingface_hub's trees/ folder.
import { createHash } from 'node:crypto';
import { hubListingBytesMax } from '../limits.ts';
import { HubError } from './hub-error.ts';
import { ask } from './http.ts';
import type { Answer, Question } from './http.ts';
import { fileUrl, isCommit, isSafeEtag, isSafePath, listingUrl } from './names.ts';
import type { RepoName } from './names.ts';
import { Transient, retrying } from './retry.ts';
import type { HubSettings } from './settings.ts';

export type ListedFile = {
  /** With `/` between the parts; safe to join. */
  readonly path: string;
  /** Undefined where a mirror lists names only. */
  readonly bytes: number | undefined;
  /** The blob's name: sha256 of a large file, git's sha1 of a small one. */
  readonly etag: string | undefined;
};

/** A listed file whose blob is known by name. */
export type HubFile = ListedFile & { readonly etag: string };

export type Listing = { readonly commit: string; readonly files: readonly ListedFile[] };

/** Asks the hub which commit a revision is, and which files it has. Throws HubError. */
export async function fetchListing(
  settings: HubSettings, repo: RepoName, triesMax: number, signal?: AbortSignal,
): Promise<Listing> {
  const question = {
    url: listingUrl(settings.endpoint, repo), timeoutMs: settings.requestTimeoutMs,
    about: repo.id, repo, signal,
  };
  const patience = { triesMax, retryMs: settings.retryMs, signal };
  const text = await retrying(async () => textOf(await ask(settings, question), question), patience);
  const answer = jsonOf(text);
  const commit = answer?.['sha'];
  const siblings = answer?.['siblings'];
  if (typeof commit !== 'string' || !isCommit(commit) || !Array.isArray(siblings)) {
    const { host } = question.url;
    throw new HubError('refused', `${host} does not answer as a Hugging Face hub does; is HF_ENDPOINT right?`);
  }
  return { commit, files: siblings.map((sibling) => siblingOf(sibling, repo.id)) };
}

/** For mirrors whose listing has no hashes: the file's own head tells. `repo` is at a commit. Throws HubError. */
export async function describeFile(
  settings: HubSettings, repo: RepoName, path: string, signal?: AbortSignal,
): Promise<HubFile> {
  const url = fileUrl(settings.endpoint, repo, path);
  const about = `${path} of ${repo.id}`;
  const question: Question = { url, method: 'HEAD', timeoutMs: settings.requestTimeoutMs, about, repo, signal };
  const patience = { triesMax: settings.triesMax, retryMs: settings.retryMs, signal };
  const { headers } = await retrying(() => ask(settings, question), patience);
  const tag = headers.get('x-linked-etag') ?? headers.get('etag') ?? '';
  const etag = tag.replace(/^W\//, '').replaceAll('"', '');
  if (!isSafeEtag(etag)) throw new HubError('refused', `${about}: ${url.host} gives it no usable etag.`);
  const length = headers.get('x-linked-size') ?? headers.get('content-length');
  return { path, etag, bytes: length === null ? undefined : byteCount(Number(length)) };
}

/** The listing as huggingface_hub keeps it; undefined when it does not say all that Python expects there. */
export function treeText({ files }: Listing): string | undefined {
  const entries: [string, object][] = [];
  for (const { path, bytes, etag } of files) {
    if (bytes === undefined || etag === undefined) return undefined;
    const large = etag.length === 64;
    entries.push([path, large
      ? { size: bytes, blob_id: pointerHash(etag, bytes), lfs_sha256: etag, lfs_size: bytes }
      : { size: bytes, blob_id: etag }]);
  }
  return JSON.stringify({ format_version: 1, files: Object.fromEntries(entries) }, null, 1);
}

/** Reads what `treeText` or Python has written; undefined when it is none of ours or unsafe. */
export function parseTree(text: string, commit: string): Listing | undefined {
  const tree = jsonOf(text);
  const entries = tree?.['files'];
  if (tree?.['format_version'] !== 1 || typeof entries !== 'object' || entries === null) return undefined;
  const files: ListedFile[] = [];
  for (const [path, entry] of Object.entries(entries as Record<string, Json | null>)) {
    const etag = entry?.['lfs_sha256'] ?? entry?.['blob_id'];
    const bytes = byteCount(entry?.['lfs_size'] ?? entry?.['size']);
    if (!isSafePath(path) || typeof etag !== 'string' || !isSafeEtag(etag)) return undefined;
    files.push({ path, etag, bytes });
  }
  return { commit, files };
}

/** What git itself has of a large file is a pointer; its hash is the entry's blob. */
function pointerHash(sha256: string, bytes: number): string {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${bytes}\n`;
  return createHash('sha1').update(`blob ${pointer.length}\0${pointer}`).digest('hex');
}

type Json = Readonly<Record<string, unknown>>;

async function textOf(answer: Answer, { about }: Question): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of answer.chunks()) {
    bytes += piece.length;
    if (bytes > hubListingBytesMax) throw new HubError('refused', `${about}: the hub's listing is too long.`);
    pieces.push(piece);
  }
  const announced = byteCount(Number(answer.headers.get('content-length') ?? NaN));
  if (announced !== undefined && bytes < announced) throw new Transient(`${about}: the hub's listing was cut off`);
  return Buffer.concat(pieces).toString('utf8');
}

function jsonOf(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value as Json : undefined;
  } catch {
    return undefined;
  }
}

function siblingOf(sibling: Json | null, id: string): ListedFile {
  const path = sibling?.['rfilename'];
  if (typeof path !== 'string' || !isSafePath(path)) {
    throw new HubError('refused', `The hub lists a file of ${id} under the unsafe name ${JSON.stringify(path)}.`);
  }
  const large = sibling?.['lfs'] as Json | null | undefined;
  const etag = large?.['sha256'] ?? large?.['oid'] ?? sibling?.['blobId'];
  if (typeof etag !== 'string' || !isSafeEtag(etag)) return { path, etag: undefined, bytes: undefined };
  return { path, etag, bytes: byteCount(large?.['size'] ?? sibling?.['size']) };
}

function byteCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
