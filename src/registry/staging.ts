// Where an upload lies until it is a model: a folder of its own beside the models, which no listing shows.
// Invariant: a model's folder appears by one rename, with all that is in it on the disk.
import { createHash, randomUUID } from 'node:crypto';
import { lstat, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { ServerError } from '../errors.ts';
import { uploadStagingAgeMsMax } from '../limits.ts';

const stagingName = '.uploads';
const createTriesMax = 10;

/** Taken from another host's, a process number says nothing. */
const host = hostname().replaceAll(/[^\w-]/g, '-').slice(0, 64);

export type Received = { readonly bytes: number; /** In hex. */ readonly sha256: string };

export class Staging {
  readonly directory: string;
  readonly #root: string;

  private constructor(root: string, directory: string) {
    this.#root = root;
    this.directory = directory;
  }

  /** Throws what the file system throws. */
  static async create(root: string): Promise<Staging> {
    const parent = path.join(root, stagingName);
    const directory = path.join(parent, `${host}.${process.pid}.${randomUUID()}`);
    for (let tries = 1; ; tries += 1) {
      await mkdir(parent, { recursive: true });
      await refuseLink(parent);
      try {
        await mkdir(directory);
        return new Staging(root, directory);
      } catch (error) {
        // The end of another upload took the parent away in between.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === createTriesMax) throw error;
      }
    }
  }

  /** Writes a new file, to the disk and not only to its cache. Throws REQUEST_TOO_LARGE, and what the source throws. */
  async receive(name: string, source: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Received> {
    const hash = createHash('sha256');
    let bytes = 0;
    const file = await open(path.join(this.directory, name), 'wx', 0o644);
    try {
      for await (const chunk of source) {
        bytes += chunk.byteLength;
        if (bytes > bytesMax) throw new ServerError('REQUEST_TOO_LARGE', `The model is larger than ${bytesMax} bytes.`);
        hash.update(chunk);
        await file.writeFile(chunk);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    return { bytes, sha256: hash.digest('hex') };
  }

  /** Makes it `<root>/<folders>`. Throws MODEL_EXISTS where something is in that place. */
  async publish(folders: readonly string[]): Promise<void> {
    const target = path.join(this.#root, ...folders);
    const parent = path.dirname(target);
    if (parent !== this.#root) {
      await mkdir(parent, { recursive: true });
      await refuseLink(parent);
    }
    await syncFolder(this.directory);
    try {
      await rename(this.directory, target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') throw new ServerError('MODEL_EXISTS');
      throw error;
    }
    await syncFolder(parent);
    if (parent !== this.#root) await syncFolder(this.#root);
  }

  /** Also once published, when there is nothing left to remove. */
  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
    // Fails while there are others.
    await rmdir(path.dirname(this.directory)).catch(() => {});
  }
}

/**
 * Removes what uploads of processes that are gone have left behind. @returns how many folders
 * Throws what the file system throws.
 */
export async function removeLeftovers(root: string): Promise<number> {
  const parent = path.join(root, stagingName);
  const names = await readdir(parent).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  let removed = 0;
  for (const name of names) {
    const directory = path.join(parent, name);
    if (!(await isLeftover(name, directory))) continue;
    await rm(directory, { recursive: true, force: true });
    removed += 1;
  }
  await rmdir(parent).catch(() => {});
  return removed;
}

async function isLeftover(name: string, directory: string): Promise<boolean> {
  const [, owner, pid] = /^(.*)\.(\d+)\.[^.]+$/.exec(name) ?? [];
  if (owner === host && !isOtherProcess(Number(pid))) return true;
  // Another machine shares the folder, or the number is taken by a process of another kind.
  const ages = await Promise.all([directory, path.join(directory, 'model.onnx')].map(async (file) => {
    return stat(file).then(({ mtimeMs }) => Date.now() - mtimeMs, () => Infinity);
  }));
  return Math.min(...ages) > uploadStagingAgeMsMax;
}

/** Called at the start, when this process has no uploads: a folder with its number is of one that had it before. */
function isOtherProcess(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A link would lead what is written out of the folder of models. */
async function refuseLink(directory: string): Promise<void> {
  if ((await lstat(directory)).isDirectory()) return;
  throw new ServerError('MODEL_EXISTS', 'What has that name in the folder of models is not a folder.');
}

/** A new name is on the disk only when its folder is. */
async function syncFolder(directory: string): Promise<void> {
  // Windows has no such thing.
  if (process.platform === 'win32') return;
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
