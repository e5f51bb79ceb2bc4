// Ids of entries and lessons.
import { createHash, randomBytes } from 'node:crypto';
import type { Partition } from './types.ts';

/** A UUIDv7 (RFC 9562): ids in order are entries in order of their making, to the millisecond. */
export function newEntryId(nowMs: number): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Of what is learned about one text in one partition; it outlives the entries that answered it. */
export function lessonId({ namespace, key }: Partition, exactText: string): string {
  return createHash('sha256').update(JSON.stringify([namespace, key, exactText])).digest('hex').slice(0, 32);
}
