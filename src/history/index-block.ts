// A block of the history's index: what filters ask of a row, in records of fixed size, sorted by id. Pure.
// Invariant: a block holds at least one record and at most `recordsMax`, and no id twice.
//
//   record   id 16 | inference ms 8, NaN when there is none | hash of version 8 | of model 8 | of outcome 8
//
// Reading 100,000 records takes some milliseconds, so every filter and every count is one pass over the blocks, however
// the filters are combined and however rare their rows are. Two names that share a hash must have been made for it.
import { createHash } from 'node:crypto';
import { type HistoryRow, idToBytes, outcomeOf } from './row.ts';
import type { HistoryQuery } from './store.ts';

const idBytes = 16;
const millisecondsAt = 16;
const versionAt = 24;
const modelAt = 32;
const outcomeAt = 40;
const hashBytes = 8;
export const recordBytes = 48;
/** Fills three pages of LMDB but for their header. A flush of a quiet server writes one block. */
const recordsMax = Math.floor((3 * 4096 - 16) / recordBytes);

/** Whether the record that begins there matches. */
type RecordFilter = (block: DataView, at: number) => boolean;

/** The records of new rows, sorted. */
export function recordsOf(rows: readonly HistoryRow[]): Buffer {
  const hashes = new Map<string, Buffer>();
  const hash = (name: string): Buffer => {
    const known = hashes.get(name) ?? hashOf(name);
    hashes.set(name, known);
    return known;
  };
  return sorted(rows.map((row) => {
    const milliseconds = Buffer.allocUnsafe(8);
    milliseconds.writeDoubleLE(row.inference_time_ms ?? NaN);
    return Buffer.concat([idToBytes(row.id), milliseconds, hash(row.version), hash(row.model), hash(outcomeOf(row))]);
  }));
}

export function countOf(block: Buffer): number {
  return block.length / recordBytes;
}

export function idAt(block: Buffer, index: number): Buffer {
  return block.subarray(index * recordBytes, index * recordBytes + idBytes);
}

/** How many records have a lower id, which is the index of the first that has not. */
export function countBelow(block: Buffer, id: Buffer): number {
  let low = 0;
  let high = countOf(block);
  // As a rule all or none of a block are below.
  if (high > 0 && compareId(block, high - 1, id) < 0) return high;
  if (high > 0 && compareId(block, 0, id) >= 0) return 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareId(block, middle, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function slice(block: Buffer, from: number, to?: number): Buffer {
  return block.subarray(from * recordBytes, to === undefined ? undefined : to * recordBytes);
}

/** The blocks that hold what was in `block` and the new sorted records. The newest is filled, others leave room. */
export function insert(block: Buffer, records: Buffer, isNewest: boolean): Buffer[] {
  // As a rule rows come in the order of their ids.
  const areInOrder = countBelow(block, idAt(records, 0)) === countOf(block);
  const all = areInOrder ? Buffer.concat([block, records]) : sorted([...recordsIn(block), ...recordsIn(records)]);
  const count = countOf(all);
  const size = isNewest ? recordsMax : Math.ceil(count / Math.ceil(count / recordsMax));
  const blocks: Buffer[] = [];
  for (let from = 0; from < count; from += size) blocks.push(slice(all, from, from + size));
  return blocks;
}

/** Undefined when every row matches. Ranges of time are ranges of ids and so not its business. */
export function filterOf(query: HistoryQuery): RecordFilter | undefined {
  const { version, model, status, inferenceMsMin: min, inferenceMsMax: max } = query;
  const filters: RecordFilter[] = [];
  if (version !== undefined) filters.push(equals(versionAt, version));
  if (model !== undefined) filters.push(equals(modelAt, model));
  if (status === 'error') filters.push(not(equals(outcomeAt, 'success')));
  else if (status !== undefined) filters.push(equals(outcomeAt, status));
  if (min !== undefined || max !== undefined) filters.push(within(min ?? -Infinity, max ?? Infinity));
  if (filters.length <= 1) return filters[0];
  return (block, at) => filters.every((filter) => filter(block, at));
}

function compareId(block: Buffer, index: number, id: Buffer): number {
  return block.compare(id, 0, id.length, index * recordBytes, index * recordBytes + idBytes);
}

function equals(field: number, name: string): RecordFilter {
  const hash = hashOf(name);
  const [left, right] = [hash.readUInt32LE(0), hash.readUInt32LE(4)];
  return (block, at) => (
    block.getUint32(at + field, true) === left && block.getUint32(at + field + 4, true) === right);
}

function not(filter: RecordFilter): RecordFilter {
  return (block, at) => !filter(block, at);
}

/** NaN is in no range. */
function within(min: number, max: number): RecordFilter {
  return (block, at) => {
    const milliseconds = block.getFloat64(at + millisecondsAt, true);
    return milliseconds >= min && milliseconds <= max;
  };
}

function hashOf(name: string): Buffer {
  return createHash('sha256').update(name).digest().subarray(0, hashBytes);
}

function recordsIn(block: Buffer): Buffer[] {
  return Array.from({ length: countOf(block) }, (_, index) => slice(block, index, index + 1));
}

function sorted(records: readonly Buffer[]): Buffer {
  return Buffer.concat(records.toSorted((left, right) => left.compare(right, 0, idBytes, 0, idBytes)));
}
