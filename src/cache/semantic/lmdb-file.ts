// The embedded file of the semantic cache: LMDB, synchronous, for a thread of its own.
//
//   entries  id -> record
//   uses     id -> uses, last use, end
//   lessons  id -> namespace and state as JSON
//
// Synced commits: what write() returned from survives kill -9 and, as far as the disk keeps its word, a power failure.
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { Database, RootDatabase } from 'lmdb';
import { DamagedFile, refuseDamaged } from '../../storage/lmdb-header.ts';
import { decodeUse, encodeUse } from './record.ts';
import type { Use } from './store.ts';

/** A change as it travels to the thread. */
export type FileChange =
  | { readonly kind: 'put'; readonly id: string; readonly record: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'delete'; readonly id: string }
  | { readonly kind: 'use'; readonly use: Use }
  | { readonly kind: 'lesson'; readonly id: string; /** '' forgets it. */ readonly json: string };

/** Records one after another: one buffer crosses to the other thread in a tenth of the time that many take. */
export type FilePortion = {
  readonly bytes: Uint8Array;
  readonly entries: readonly { readonly id: string; readonly length: number; readonly use: Use | undefined }[];
};

type Table = Database<Buffer, string>;

export class LmdbFile {
  readonly #root: RootDatabase<Buffer, string>;
  readonly #entries: Table;
  readonly #uses: Table;
  readonly #lessons: Table;
  /** Set when a file was there that could not be used: it was moved to that name. */
  readonly movedTo: string | undefined;

  /** Opens or makes the file. A damaged one is moved aside: a cache must not keep a server from starting. */
  static async open(directory: string): Promise<LmdbFile> {
    mkdirSync(directory, { recursive: true });
    const movedTo = moveDamaged(directory);
    const { open } = await import('lmdb');
    // overlappingSync would acknowledge before the disk has the entries.
    const options = { path: directory, noSubdir: false, maxDbs: 3, overlappingSync: false, encoding: 'binary', cache: false } as const;
    return new LmdbFile(open<Buffer, string>(options), movedTo);
  }

  private constructor(root: RootDatabase<Buffer, string>, movedTo: string | undefined) {
    this.#root = root;
    this.movedTo = movedTo;
    const binary = { encoding: 'binary', cache: false } as const;
    this.#entries = root.openDB('entries', binary);
    this.#uses = root.openDB('uses', binary);
    this.#lessons = root.openDB('lessons', binary);
  }

  /** All or nothing. */
  write(changes: readonly FileChange[]): void {
    this.#root.transactionSync(() => {
      for (const change of changes) this.#change(change);
    });
  }

  /** Entries after that id in the order of ids, until they have so many bytes; none when there are no more. */
  read(after: string, bytesMax: number): FilePortion {
    const records: Buffer[] = [];
    const entries: { id: string; length: number; use: Use | undefined }[] = [];
    let bytes = 0;
    for (const { key: id, value: record } of this.#entries.getRange({ start: after, exclusiveStart: true })) {
      const use = this.#uses.get(id);
      records.push(record);
      entries.push({ id, length: record.length, use: use && decodeUse(id, use) });
      bytes += record.length;
      if (bytes >= bytesMax) break;
    }
    return { bytes: Buffer.concat(records), entries };
  }

  lessons(): [string, string][] {
    return [...this.#lessons.getRange()].map(({ key, value }) => [key, value.toString()]);
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #change(change: FileChange): void {
    if (change.kind === 'put') {
      this.#entries.putSync(change.id, Buffer.from(change.record.buffer));
    } else if (change.kind === 'delete') {
      this.#entries.removeSync(change.id);
      this.#uses.removeSync(change.id);
    } else if (change.kind === 'use') {
      const { id, uses } = change.use;
      // An entry that left meanwhile takes its uses with it.
      if (!this.#entries.doesExist(id)) return;
      const before = this.#uses.get(id);
      this.#uses.putSync(id, encodeUse({ ...change.use, uses: uses + (before === undefined ? 0 : decodeUse(id, before).uses) }));
    } else if (change.json === '') {
      this.#lessons.removeSync(change.id);
    } else {
      this.#lessons.putSync(change.id, Buffer.from(change.json));
    }
  }
}

function moveDamaged(directory: string): string | undefined {
  const file = join(directory, 'data.mdb');
  try {
    refuseDamaged(file);
    return undefined;
  } catch (error) {
    // A disk or a process that cannot read it now says nothing about the file.
    if (!(error instanceof DamagedFile)) throw error;
    const aside = `${file}.damaged-${Date.now()}`;
    renameSync(file, aside);
    return aside;
  }
}
