// SHA-256 of files that change seldom: read once, remembered as long as size, time and place on the disk stay.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { fileHashesMax } from '../limits.ts';

/** A file as it was at one moment; `identity` differs when it is another or has changed. */
export type FileState = { readonly bytes: number; readonly modifiedMs: number; readonly identity: string };

export async function fileState(file: string): Promise<FileState> {
  return stateOf(await stat(file));
}

export function stateOf(stat: { size: number; mtimeMs: number; ino: number }): FileState {
  return { bytes: stat.size, modifiedMs: stat.mtimeMs, identity: `${stat.ino} ${stat.size} ${stat.mtimeMs}` };
}

export class FileHashes {
  readonly #hashes = new Map<string, Promise<string>>();

  /** In hex. Throws what the file system throws. */
  of(file: string, { identity }: FileState): Promise<string> {
    const key = `${identity} ${file}`;
    const known = this.#hashes.get(key);
    if (known !== undefined) return known;
    const hash = hashOf(file);
    this.#hashes.set(key, hash);
    // A failure is not remembered; beyond the bound the oldest is not.
    hash.catch(() => this.#hashes.delete(key));
    if (this.#hashes.size > fileHashesMax) this.#hashes.delete(this.#hashes.keys().next().value!);
    return hash;
  }
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
