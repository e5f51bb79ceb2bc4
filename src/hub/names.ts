// Names that come from outside: repositories, revisions, and the paths of a hub's listing. Pure.
// Invariant: a name that passes here can be joined to a folder and stays inside it.
import { echoCharsMax } from '../limits.ts';
import { HubError } from './hub-error.ts';

export type RepoName = {
  /** `org/name`. */
  readonly id: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
};

const revisionCharsMax = 200;
const pathCharsMax = 1024;
const defaultRevision = 'main';

/** Reads `org/name` or `org/name@revision`. Throws HubError. */
export function parseRepo(text: string): RepoName {
  const at = text.indexOf('@');
  const id = at < 0 ? text : text.slice(0, at);
  const revision = at < 0 ? defaultRevision : text.slice(at + 1);
  const parts = id.split('/');
  if (parts.length !== 2 || !parts.every(isRepoPart)) {
    throw new HubError('refused', `${shown(text)} is not a repository of the hub: it must be org/name, or ` +
      'org/name@revision, like sentence-transformers/all-MiniLM-L6-v2.');
  }
  if (!isRevision(revision)) {
    throw new HubError('refused', `${shown(text)}: the revision must be a branch, a tag or a commit.`);
  }
  return { id, revision };
}

/** The rules of the hub itself; `--` separates the parts in the cache's folder names. */
function isRepoPart(part: string): boolean {
  return /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$/.test(part) && !/--|\.\.|\.git$/.test(part);
}

function isRevision(revision: string): boolean {
  return revision.length <= revisionCharsMax && /^[A-Za-z0-9]/.test(revision) && isSafePath(revision) &&
    /^[\w./+-]*$/.test(revision);
}

export function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

/** Whether a path of a listing may become a path of ours: relative, plain segments, nothing to interpret. */
export function isSafePath(path: string): boolean {
  if (path.length === 0 || path.length > pathCharsMax || /[\\\0:]/.test(path)) return false;
  return path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

/** A blob's file is called after its etag: only what cannot be a path. */
export function isSafeEtag(etag: string): boolean {
  return /^[A-Za-z0-9][\w-]{0,127}$/.test(etag);
}

/** `https://hub/org/name/resolve/commit/onnx/model.onnx`. */
export function fileUrl(endpoint: string, { id, revision }: RepoName, path: string): URL {
  const parts = [encodeURIComponent(revision), ...path.split('/').map(encodeURIComponent)];
  return new URL(`${endpoint}/${id}/resolve/${parts.join('/')}`);
}

/** Everything about one revision, files with sizes and hashes included. */
export function listingUrl(endpoint: string, { id, revision }: RepoName): URL {
  return new URL(`${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`);
}

function shown(text: string): string {
  return JSON.stringify(text.length > echoCharsMax ? `${text.slice(0, echoCharsMax)}…` : text);
}
