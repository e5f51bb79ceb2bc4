// An entry as bytes: what the file, Redis and dumps keep.
//
//   'OSE1' | checksum 8 | head bytes u32 | vector values u32 | head as JSON | vector as float32 | answer
//
// Little-endian. The checksum is the first 8 bytes of the SHA-256 of all that follows it.
import { createHash } from 'node:crypto';
import type { Use } from './store.ts';
import type { Entry } from './types.ts';

const magic = Buffer.from('OSE1');
const checkedAt = 12;
const headAt = 20;
const useBytes = 24;

export type StoredEntry = { readonly entry: Entry; readonly vector: Float32Array };

/** The bytes are no whole record of this version. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
}

type Head = {
  id: string; namespace: string; key: string; question: string; tags: readonly string[]; createdMs: number;
  expiresMs: number | null; ttlMs: number | null; sliding: boolean; model: string;
};

/** In memory of its own, so that it can be transferred. */
export function encodeRecord({ entry, vector }: StoredEntry): Uint8Array<ArrayBuffer> {
  const { id, partition: { namespace, key }, question, tags, createdMs, expiresMs = null, ttlMs = null, sliding, model } = entry;
  const head = Buffer.from(JSON.stringify({ id, namespace, key, question, tags, createdMs, expiresMs, ttlMs, sliding, model } satisfies Head));
  const bytes = new Uint8Array(headAt + head.length + vector.byteLength + entry.answer.byteLength);
  const record = Buffer.from(bytes.buffer);
  record.set(magic);
  record.writeUInt32LE(head.length, checkedAt);
  record.writeUInt32LE(vector.length, checkedAt + 4);
  record.set(head, headAt);
  record.set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength), headAt + head.length);
  record.set(entry.answer, headAt + head.length + vector.byteLength);
  record.set(checksum(record), magic.length);
  return bytes;
}

/** What it gives owns its memory. Throws RecordError. */
export function decodeRecord(bytes: Uint8Array, use?: Use): StoredEntry {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (record.length < headAt || !record.subarray(0, magic.length).equals(magic)) throw new RecordError('no entry of this version');
  if (!record.subarray(magic.length, checkedAt).equals(checksum(record))) throw new RecordError('a damaged entry');
  const vectorAt = headAt + record.readUInt32LE(checkedAt);
  const answerAt = vectorAt + record.readUInt32LE(checkedAt + 4) * Float32Array.BYTES_PER_ELEMENT;
  const head = JSON.parse(record.toString('utf8', headAt, vectorAt)) as Head;
  const { id, namespace, key, question, tags, createdMs, expiresMs, ttlMs, sliding, model } = head;
  const vector = new Float32Array(new Uint8Array(record.subarray(vectorAt, answerAt)).buffer);
  const entry: Entry = {
    id, partition: { namespace, key }, question, answer: new Uint8Array(record.subarray(answerAt)), tags, createdMs,
    ttlMs: ttlMs ?? undefined, sliding, model, uses: use?.uses ?? 0, lastUsedMs: use?.lastUsedMs ?? createdMs,
    expiresMs: use === undefined ? expiresMs ?? undefined : use.expiresMs,
  };
  return { entry, vector };
}

/** Three float64; an entry that never ends has NaN. */
export function encodeUse({ uses, lastUsedMs, expiresMs = NaN }: Use): Buffer {
  const bytes = Buffer.alloc(useBytes);
  [uses, lastUsedMs, expiresMs].forEach((value, i) => bytes.writeDoubleLE(value, i * 8));
  return bytes;
}

export function decodeUse(id: string, bytes: Uint8Array): Use {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const expiresMs = view.getFloat64(16, true);
  return {
    id, uses: view.getFloat64(0, true), lastUsedMs: view.getFloat64(8, true), expiresMs: Number.isNaN(expiresMs) ? undefined : expiresMs,
  };
}

function checksum(record: Buffer): Buffer {
  return createHash('sha256').update(record.subarray(checkedAt)).digest().subarray(0, checkedAt - magic.length);
}
