// Which bytes of a file a request asks for (RFC 9110, sections 13 and 14). Pure.

/** Both ends belong to it. */
export type ByteRange = { readonly first: number; readonly last: number };

/**
 * One range is honoured; several, other units and what is no range are not, which answers the whole file.
 * @returns undefined for the whole file
 */
export function byteRangeOf(header: string, lengthBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes *= *(\d*) *- *(\d*) *$/i.exec(header) ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const count = Math.min(Number(last), lengthBytes);
    return count === 0 ? 'unsatisfiable' : { first: lengthBytes - count, last: lengthBytes - 1 };
  }
  if (last !== '' && Number(last) < Number(first)) return undefined;
  if (Number(first) >= lengthBytes) return 'unsatisfiable';
  return { first: Number(first), last: last === '' ? lengthBytes - 1 : Math.min(Number(last), lengthBytes - 1) };
}

/** If-None-Match: whether the client has it already. Weak and strong tags are compared alike. */
export function hasTag(header: string, tag: string): boolean {
  if (header.trim() === '*') return true;
  return header.split(',').some((each) => each.trim().replace(/^W\//, '') === tag);
}

/** If-Range: whether the part that the client has is of this file. Absent, it is taken to be. */
export function isSameFile(header: string, tag: string, modifiedMs: number): boolean {
  const value = header.trim();
  if (value === '' || value === tag) return true;
  if (value.includes('"')) return false;
  // A date says seconds; a file that changed within that second would be taken for the same.
  return Date.parse(value) === Math.floor(modifiedMs / 1000) * 1000 && Date.now() - modifiedMs > 60_000;
}
