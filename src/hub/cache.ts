// The cache's folders as Python's huggingface_hub lays them out: blobs, snapshots of links to them, refs, trees.
// Invariant: what appears under its final name is whole; a snapshot of ours appears with all its links at once.
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readFile, readdir, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { hubStagingAgeMsMax } from '../limits.ts';
import { HubError } from './hub-error.ts';
import { parseTree, treeText } from './listing.ts';
import type { HubFile, ListedFile, Listing } from './listing.ts';
import { isCommit } from './names.ts';

const namesDepthMax = 4;

/** One repository's part of the cache. Methods that read answer "not there" for whatever is not usable. */
export class RepoCache {
  readonly #root: string;
  readonly #folder: string;
  readonly #locks: string;

  constructor(root: string, id: string) {
    const name = `models--${id.replace('/', '--')}`;
    this.#root = root;
    this.#folder = path.join(root, name);
    this.#locks = path.join(root, '.locks', name);
  }

  /** Makes the folder for blobs and returns it. Throws HubError when it would lie outside of the cache. */
  async prepare(): Promise<string> {
    const blobs = path.join(this.#folder, 'blobs');
    await mkdir(blobs, { recursive: true });
    await this.#checkInside(blobs);
    return blobs;
  }

  snapshot(commit: string): string {
    return path.join(this.#folder, 'snapshots', commit);
  }

  blob(etag: string): string {
    return path.join(this.#folder, 'blobs', etag);
  }

  /** Not Python's name: its locks are of another kind and their files stay behind. */
  lock(etag: string): string {
    return path.join(this.#locks, `${etag}.ortserve.lock`);
  }

  /** The commit that a revision was when it was last asked for. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await textOf(path.join(this.#folder, 'refs', revision));
    return text !== undefined && isCommit(text.trim()) ? text.trim() : undefined;
  }

  async listing(commit: string): Promise<Listing | undefined> {
    const text = await textOf(this.#tree(commit));
    return text === undefined ? undefined : parseTree(text, commit);
  }

  /** What a snapshot has, for one whose listing nobody wrote down. */
  async namesIn(commit: string): Promise<readonly string[]> {
    const names: string[] = [];
    const walk = async (folder: string, prefix: string, depth: number): Promise<void> => {
      for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
        if (!entry.isDirectory()) names.push(prefix + entry.name);
        else if (depth < namesDepthMax) await walk(path.join(folder, entry.name), `${prefix}${entry.name}/`, depth + 1);
      }
    };
    await walk(this.snapshot(commit), '', 0);
    return names.sort();
  }

  /** Those of `files` that the snapshot lacks or has in part. Throws HubError for a link out of the cache. */
  async missing<File extends ListedFile>(commit: string, files: readonly File[]): Promise<readonly File[]> {
    const missing: File[] = [];
    for (const file of files) {
      if (!(await this.#isWhole(path.join(this.snapshot(commit), file.path), file.bytes))) missing.push(file);
    }
    return missing;
  }

  async hasBlob({ etag, bytes }: HubFile): Promise<boolean> {
    return this.#isWhole(this.blob(etag), bytes);
  }

  /** The text of a file of a snapshot, or else of its blob. */
  async read(commit: string, file: ListedFile): Promise<string | undefined> {
    if ((await this.missing(commit, [file])).length === 0) return textOf(path.join(this.snapshot(commit), file.path));
    if (file.etag === undefined || !(await this.#isWhole(this.blob(file.etag), file.bytes))) return undefined;
    return textOf(this.blob(file.etag));
  }

  /** Best effort: a cache without it only asks the hub again. */
  async keepListing(listing: Listing): Promise<void> {
    const text = treeText(listing);
    if (text === undefined || (await textOf(this.#tree(listing.commit))) === text) return;
    await this.#write(this.#tree(listing.commit), text).catch(() => {});
  }

  /** Best effort: a cache that cannot be written may still be whole. */
  async keepRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(revision)) === commit) return;
    await this.#write(path.join(this.#folder, 'refs', revision), commit).catch(() => {});
  }

  /** Links `files`, whose blobs are there, into the snapshot, in their order. */
  async publish(commit: string, files: readonly HubFile[]): Promise<void> {
    const snapshot = this.snapshot(commit);
    const staging = await this.#newStaging();
    for (const file of files) await this.#link(file, path.join(staging, file.path));
    await mkdir(path.dirname(snapshot), { recursive: true });
    try {
      await rename(staging, snapshot);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // There is one already, of Python or with another precision. Windows says EPERM.
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'EPERM') throw error;
    }
    for (const file of files) {
      const place = path.join(snapshot, file.path);
      await mkdir(path.dirname(place), { recursive: true });
      await rename(path.join(staging, file.path), place);
    }
    await rm(staging, { recursive: true, force: true });
  }

  #tree(commit: string): string {
    return path.join(this.#folder, 'trees', `${commit}.json`);
  }

  async #link({ path: name, etag }: HubFile, place: string): Promise<void> {
    await mkdir(path.dirname(place), { recursive: true });
    // A staging folder is as deep as a snapshot, so that the link stays true when it moves.
    const up = '../'.repeat(name.split('/').length + 1);
    try {
      await symlink(`${up}blobs/${etag}`, place);
    } catch (error) {
      // Windows allows links to administrators only, some file systems to nobody.
      if (!['EPERM', 'ENOSYS', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      await copyFile(this.blob(etag), place);
    }
  }

  /** Also takes away what killed pulls have left. */
  async #newStaging(): Promise<string> {
    const parent = path.join(this.#folder, 'staging');
    for (const name of await readdir(parent).catch(() => [])) {
      const left = path.join(parent, name);
      const { mtimeMs } = await stat(left).catch(() => ({ mtimeMs: Infinity }));
      if (Date.now() - mtimeMs > hubStagingAgeMsMax) await rm(left, { recursive: true, force: true }).catch(() => {});
    }
    const staging = path.join(parent, randomUUID());
    await mkdir(staging, { recursive: true });
    return staging;
  }

  async #write(file: string, text: string): Promise<void> {
    const staging = await this.#newStaging();
    try {
      await writeFile(path.join(staging, 'text'), text);
      await mkdir(path.dirname(file), { recursive: true });
      await rename(path.join(staging, 'text'), file);
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  }

  async #isWhole(file: string, bytes: number | undefined): Promise<boolean> {
    const found = await stat(file).catch(() => undefined);
    if (found === undefined || !found.isFile() || (bytes !== undefined && found.size !== bytes)) return false;
    await this.#checkInside(file);
    return true;
  }

  /** Links are how the cache is made, but none may lead to what others keep on this machine. */
  async #checkInside(place: string): Promise<void> {
    const [real, root] = await Promise.all([realpath(place), realpath(this.#root)]);
    if (real.startsWith(root + path.sep)) return;
    throw new HubError('refused', `${place} is a link that leaves the cache ${this.#root}; remove it.`);
  }
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return undefined;
  }
}
