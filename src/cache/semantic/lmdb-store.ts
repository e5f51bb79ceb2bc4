// The embedded store, seen from the event loop. Writes that come while one is under way share the next commit.
// Invariant: the view hears of changes in the order of their commits, and only of those that were committed.
import { AskedThread } from '../../storage/asked-thread.ts';
import { ReopenedThread } from '../../storage/reopened-thread.ts';
import { semanticReadBytes } from '../../limits.ts';
import type { FileChange, FilePortion } from './lmdb-file.ts';
import type { FileRequest } from './lmdb-thread.ts';
import { decodeRecord, encodeRecord, RecordError } from './record.ts';
import type { Change, Lesson, SemanticStore, StoreView, Use } from './store.ts';

type Log = { warn(fields: Record<string, unknown>, message: string): void };
type Waiting = { readonly changes: readonly Change[]; readonly resolve: () => void; readonly reject: (error: unknown) => void };

export class LmdbStore implements SemanticStore {
  readonly #directory: string;
  readonly #log: Log;
  readonly #thread = new ReopenedThread(() => this.#openThread());
  #view: StoreView | undefined;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  /** Ids that each reading of everything has come upon. */
  readonly #readings = new Set<Set<string>>();

  /** One process at a time may use the directory: another one's view would not hear of changes. */
  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  async open(view: StoreView): Promise<void> {
    this.#view = view;
    await this.reload();
  }

  async reload(): Promise<void> {
    const seen = new Set<string>();
    this.#readings.add(seen);
    try {
      await this.#readAll(this.#view!, seen);
    } finally {
      this.#readings.delete(seen);
    }
  }

  write(changes: readonly Change[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#thread.end();
  }

  async #readAll(view: StoreView, seen: Set<string>): Promise<void> {
    const damaged: string[] = [];
    for (let after = ''; ;) {
      const { bytes, entries } = (await this.#thread.ask({ kind: 'read', after, bytesMax: semanticReadBytes })) as FilePortion;
      if (entries.length === 0) break;
      let at = 0;
      for (const { id, length, use } of entries) {
        if (tell(view, bytes.subarray(at, at + length), use)) seen.add(id);
        else damaged.push(id);
        at += length;
      }
      after = entries.at(-1)!.id;
    }
    view.retain(seen);
    for (const [id, json] of (await this.#thread.ask({ kind: 'lessons' })) as [string, string][]) {
      view.apply({ kind: 'lesson', lesson: { id, ...(JSON.parse(json) as Omit<Lesson, 'id'>) } });
    }
    if (damaged.length === 0) return;
    this.#log.warn({ entries: damaged.length }, 'damaged entries of the semantic cache are removed');
    await this.write(damaged.map((id) => ({ kind: 'delete', id })));
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#writeBatch(batch);
    }
    // At once: what is written a moment later must begin anew, or it would wait for the write after it.
    this.#writing = undefined;
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<void> {
    const all = batch.flatMap(({ changes }) => changes);
    try {
      const wire = all.map(fileChange);
      await this.#thread.ask({ kind: 'write', changes: wire }, wire.flatMap((change) => (change.kind === 'put' ? [change.record.buffer] : [])));
    } catch (error) {
      for (const { reject } of batch) reject(error);
      return;
    }
    // Uses were applied when they happened.
    for (const change of all) if (change.kind !== 'use') this.#view!.apply(change);
    // A reading may be beyond the place of what was put just now.
    for (const seen of this.#readings) for (const change of all) if (change.kind === 'put') seen.add(change.entry.id);
    for (const { resolve } of batch) resolve();
  }

  async #openThread(): Promise<AskedThread<FileRequest>> {
    const thread = new AskedThread<FileRequest>('semantic cache', new URL('./lmdb-thread.js', import.meta.url), { directory: this.#directory });
    try {
      const movedTo = (await thread.ask({ kind: 'open' })) as string | undefined;
      if (movedTo !== undefined) this.#log.warn({ file: movedTo }, 'the semantic cache begins anew; its damaged file is kept under another name');
    } catch (error) {
      await thread.end();
      throw error;
    }
    return thread;
  }
}

/** Whether the record was whole. */
function tell(view: StoreView, record: Uint8Array, use: Use | undefined): boolean {
  try {
    view.apply({ kind: 'put', ...decodeRecord(record, use) });
    return true;
  } catch (error) {
    if (error instanceof RecordError) return false;
    throw error;
  }
}

function fileChange(change: Change): FileChange {
  if (change.kind === 'put') return { kind: 'put', id: change.entry.id, record: encodeRecord(change) };
  if (change.kind !== 'lesson') return change;
  const { id, namespace, state } = change.lesson;
  return { kind: 'lesson', id, json: state === undefined ? '' : JSON.stringify({ namespace, state }) };
}
