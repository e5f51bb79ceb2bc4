// A look at an LMDB file before it is mapped: LMDB trusts what it maps, so a damaged file would end the process.
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';

// From lmdb.h and mdb.c of the format: two meta pages, each a page header and the state after one of the last commits.
const magicAt = 24;
const magic = 0xbeefc0de;
const pageSizeAt = 48;
const lastPageAt = 144;
const metaBytes = 168;
/** Pages at the end that a commit may count without having written them. */
const unwrittenPagesMax = 64;

/** The file is not LMDB's, or only a part of one. */
export class DamagedFile extends Error {}

/** Throws DamagedFile, and what reading it throws. An absent or an empty one is as good as new. */
export function refuseDamaged(file: string): void {
  if (!existsSync(file)) return;
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    if (size === 0) return;
    const first = meta(descriptor, 0);
    const second = first && meta(descriptor, first.pageBytes);
    const pages = Math.max(first?.lastPage ?? 0, second?.lastPage ?? 0) + 1;
    if (first && second && size >= (pages - unwrittenPagesMax) * first.pageBytes) return;
    throw new DamagedFile(`${file} is damaged or not ours; move it away to begin a new one.`);
  } finally {
    closeSync(descriptor);
  }
}

function meta(descriptor: number, at: number): { pageBytes: number; lastPage: number } | undefined {
  const bytes = Buffer.alloc(metaBytes);
  if (readSync(descriptor, bytes, 0, metaBytes, at) < metaBytes) return undefined;
  if (bytes.readUInt32LE(magicAt) !== magic) return undefined;
  return { pageBytes: bytes.readUInt32LE(pageSizeAt), lastPage: Number(bytes.readBigUInt64LE(lastPageAt)) };
}
