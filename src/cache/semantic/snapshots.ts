// Graphs on the disk, so that a start need not build them. A graph is a view: what cannot be trusted is built anew.
// Each is two files: `<name>.hnsw`, which only the addon can read and which it reads without a check, and
// `<name>.json`, which says what it must be: model, dimensions, rows, SHA-256, and whose row each label is.
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { semanticGraphLinks } from '../../limits.ts';
import type { Held, Namespace } from './namespace.ts';
import type { Partition } from './types.ts';
import type { VectorIndex } from './vector-index.ts';
import type { VectorModel } from './vector-model.ts';

type Log = { warn(fields: Record<string, unknown>, message: string): void };
type Facts = {
  readonly version: 1; readonly metric: 'ip'; readonly links: number; readonly model: string; readonly dimension: number;
  readonly sha256: string; /** By label; null for rows that are gone. */ readonly ids: readonly (string | null)[];
};

/** A saved graph most of whose rows are gone finds less than a new one. */
const rowsKnownMin = 0.5;

export class Snapshots {
  readonly #directory: string;
  readonly #log: Log;

  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  /** Whether the index has its graph from the disk. Never rejects. */
  async restore(index: VectorIndex<Held>, namespace: Namespace, key: string, model: VectorModel): Promise<boolean> {
    const file = this.#file({ namespace: namespace.name, key }, model);
    try {
      const facts = await this.#facts(`${file}.json`, model);
      if (facts === undefined) return false;
      const slots = facts.ids.map((id) => {
        const held = id === null ? undefined : namespace.get(id);
        return held?.entry.partition.key === key && held.slot !== undefined ? held.slot : -1;
      });
      if (slots.filter((slot) => slot >= 0).length < slots.length * rowsKnownMin) throw new Error('Most of its rows are gone.');
      await index.load(`${file}.hnsw`, facts.sha256, slots);
      return index.graphSize > 0;
    } catch (error) {
      this.#log.warn({ err: error, namespace: namespace.name }, 'a saved graph of the semantic cache is refused and built anew');
      await this.#remove(file);
      return false;
    }
  }

  /** Never rejects: without it the next start takes longer. */
  async save(index: VectorIndex<Held>, partition: Partition, model: VectorModel): Promise<void> {
    const file = this.#file(partition, model);
    try {
      await mkdir(this.#directory, { recursive: true });
      await this.#remove(file);
      const saved = await index.save(`${file}.new`);
      if (saved === undefined) return;
      const ids = saved.owners.map((held) => held?.entry.id ?? null);
      const facts: Facts = {
        version: 1, metric: 'ip', links: semanticGraphLinks, model: model.identity, dimension: model.dimension, sha256: saved.sha256, ids,
      };
      await rename(`${file}.new`, `${file}.hnsw`);
      const text = JSON.stringify(facts);
      await writeFile(`${file}.new`, `${hashOf(text)}\n${text}`);
      await rename(`${file}.new`, `${file}.json`);
    } catch (error) {
      this.#log.warn({ err: error, namespace: partition.namespace }, 'a graph of the semantic cache cannot be saved');
      await this.#remove(file);
    }
  }

  /** Vectors of what was deleted must not lie on: the graph is saved again when it has none of them. */
  async forget(partition: Partition, model: VectorModel): Promise<void> {
    await this.#remove(this.#file(partition, model));
  }

  /** Removes what belongs to none of these. */
  async clean(partitions: readonly Partition[], model: VectorModel): Promise<void> {
    const known = new Set(partitions.map((partition) => this.#file(partition, model)));
    for (const name of await readdir(this.#directory).catch(() => [])) {
      const file = join(this.#directory, name.replace(/\.\w+$/, ''));
      if (!known.has(file)) await this.#remove(file);
    }
  }

  async #facts(file: string, model: VectorModel): Promise<Facts | undefined> {
    const content = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (content === undefined) return undefined;
    const [hash, text = ''] = content.split('\n', 2);
    if (hash !== hashOf(text)) throw new Error('Its description is damaged.');
    const facts = JSON.parse(text) as Facts;
    const ours = facts.version === 1 && facts.metric === 'ip' && facts.links === semanticGraphLinks;
    if (!ours || facts.model !== model.identity || facts.dimension !== model.dimension) throw new Error('It is of another kind.');
    return facts;
  }

  async #remove(file: string): Promise<void> {
    for (const extension of ['json', 'hnsw', 'new']) await rm(`${file}.${extension}`, { force: true }).catch(() => undefined);
  }

  #file({ namespace, key }: Partition, { identity }: VectorModel): string {
    return join(this.#directory, hashOf(JSON.stringify([namespace, key, identity])).slice(0, 32));
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
