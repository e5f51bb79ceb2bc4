// Entries as JSON Lines: what a dump writes and a load or a warm-up reads.
//
//   {"id","namespace","key","question","answer":base64,"vector":base64 of float32,"model","tags","createdMs",…}
//
// Needed are namespace (or one for all), question and answer; without a vector of the cache's own model the question
// is embedded anew.
import { namespacePattern } from '../../access/namespace.ts';
import { ServerError } from '../../errors.ts';
import { semanticLineCharsMax } from '../../limits.ts';
import { newEntryId } from './ids.ts';
import type { StoredEntry } from './record.ts';
import type { Entry } from './types.ts';
import type { VectorModel } from './vector-model.ts';
import { unitVector } from './vector-rows.ts';

export type LoadOptions = {
  /** Where all entries go, whatever their lines say. */
  readonly namespace?: string;
  /** For lines whose vector is missing or of another model; without it they are refused. */
  readonly embed?: (question: string) => Promise<Float32Array | undefined>;
};

export type LoadReport = {
  readonly loaded: number;
  /** There already, ended, or larger than its namespace may be. */
  readonly passedOver: number;
  /** Lines that make no sense: how many, and of the first few the number and why. */
  readonly refused: number;
  readonly problems: readonly string[];
};

const problemsMax = 10;
/** The last that a Date can be; Redis refuses an end far beyond. */
const timeMsMax = 8.64e15;
const idPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/;

/** The line cannot be an entry; the message is for whoever wrote it. */
class LineError extends Error {}

export class DumpLines {
  readonly #model: VectorModel;
  readonly #options: LoadOptions;
  readonly #problems: string[] = [];
  #passedOver = 0;
  #refused = 0;

  constructor(model: VectorModel, options: LoadOptions = {}) {
    this.#model = model;
    this.#options = options;
  }

  get report(): Omit<LoadReport, 'loaded'> {
    return { passedOver: this.#passedOver, refused: this.#refused, problems: this.#problems };
  }

  passedOver(): void {
    this.#passedOver += 1;
  }

  /** With its line feed. `vector` undefined: of another model, and not at hand. */
  line({ partition, answer, ...rest }: Entry, vector: Float32Array | undefined): string {
    const base64 = vector && Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
    return `${JSON.stringify({ ...rest, ...partition, answer: Buffer.from(answer).toString('base64'), vector: base64 })}\n`;
  }

  /** Throws REQUEST_TOO_LARGE for a line that is; lines that make no sense are counted. */
  async * read(chunks: AsyncIterable<string | Uint8Array>, now: () => number): AsyncIterable<StoredEntry> {
    let number = 0;
    for await (const line of linesOf(chunks)) {
      number += 1;
      if (line.trim() === '') continue;
      try {
        const stored = await this.#entry(line, now());
        const { expiresMs } = stored.entry;
        if (expiresMs !== undefined && expiresMs <= now()) this.#passedOver += 1;
        else yield stored;
      } catch (error) {
        if (!(error instanceof LineError)) throw error;
        this.#refused += 1;
        if (this.#problems.length < problemsMax) this.#problems.push(`line ${number}: ${error.message}`);
      }
    }
  }

  async #entry(line: string, nowMs: number): Promise<StoredEntry> {
    const row = parse(line);
    const text = (name: string, value: unknown = row[name]): string => {
      if (typeof value !== 'string') throw new LineError(`${name} must be a string`);
      return value;
    };
    const time = (name: string): number | undefined => {
      const value = row[name] ?? undefined;
      if (value !== undefined && !(typeof value === 'number' && value >= 0 && value <= timeMsMax)) {
        throw new LineError(`${name} must be a number from 0 to ${timeMsMax}`);
      }
      return value;
    };
    const tags = row['tags'] ?? [];
    if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) throw new LineError('tags must be a list of strings');
    const namespace = this.#options.namespace ?? text('namespace');
    // Nobody could list or delete what is in another.
    if (!namespacePattern.test(namespace)) throw new LineError('namespace must be 1 to 120 letters, digits or . : @ _ -');
    // In another namespace it is another entry.
    const sameEntry = typeof row['id'] === 'string' && idPattern.test(row['id']) && namespace === row['namespace'];
    // From a clock that is ahead: later than now nothing could replace it, and no use would count.
    const past = (name: string): number | undefined => {
      const value = time(name);
      return value && Math.min(value, nowMs);
    };
    const createdMs = past('createdMs') ?? nowMs;
    const entry: Entry = {
      id: sameEntry ? text('id') : newEntryId(nowMs),
      partition: { namespace, key: text('key', row['key'] ?? '') }, question: text('question'), answer: bytesOf('answer', text('answer')), tags,
      createdMs, expiresMs: time('expiresMs'), ttlMs: time('ttlMs'), sliding: row['sliding'] === true, uses: time('uses') ?? 0,
      lastUsedMs: past('lastUsedMs') ?? createdMs, model: this.#model.identity,
    };
    const vector = await this.#vector(row, entry.question);
    return { entry: vector.length === 0 ? { ...entry, model: '' } : entry, vector };
  }

  async #vector({ vector, model }: Record<string, unknown>, question: string): Promise<Float32Array> {
    const { dimension, identity } = this.#model;
    if (typeof vector === 'string' && model === identity) {
      const bytes = bytesOf('vector', vector);
      if (bytes.length !== dimension * 4) throw new LineError(`vector must have ${dimension} values`);
      return checkedUnit(new Float32Array(bytes.buffer), dimension);
    }
    if (this.#options.embed === undefined) throw new LineError('its vector is missing or of another model');
    const embedded = await this.#options.embed(question);
    // Too long to compare: found by its text only.
    return embedded === undefined ? new Float32Array(0) : checkedUnit(embedded, dimension);
  }
}

function parse(line: string): Record<string, unknown> {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch {
    throw new LineError('not JSON');
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) throw new LineError('not an object');
  return row as Record<string, unknown>;
}

/** In memory of its own: a typed array can begin there. */
function bytesOf(name: string, base64: string): Uint8Array<ArrayBuffer> {
  if (!base64Pattern.test(base64)) throw new LineError(`${name} must be base64`);
  return Uint8Array.from(Buffer.from(base64, 'base64'));
}

function checkedUnit(vector: Float32Array, dimension: number): Float32Array {
  try {
    return unitVector(vector, dimension);
  } catch {
    throw new LineError('vector must be finite and not all zeros');
  }
}

async function* linesOf(chunks: AsyncIterable<string | Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))).split('\n');
    rest = lines.pop()!;
    if (rest.length > semanticLineCharsMax) throw new ServerError('REQUEST_TOO_LARGE', `A line is longer than ${semanticLineCharsMax} characters.`);
    yield* lines;
  }
  yield rest;
}
