// What one server tells and another does not.

/** Paths of fields that `theirs` has and `mine` lacks or has in another type; of lists the first items are compared. */
export function missingFields(theirs: any, mine: any, path = ''): string[] {
  // The models differ in what they compute.
  if (path.endsWith('.data')) return Array.isArray(mine) ? [] : [path];
  if (Array.isArray(theirs)) return theirs.length > 0 && mine?.length > 0 ? missingFields(theirs[0], mine[0], `${path}[0]`) : [];
  if (theirs instanceof Uint8Array) return mine instanceof Uint8Array ? [] : [path];
  if (typeof theirs !== 'object' || theirs === null) return typeof theirs === typeof mine ? [] : [path];
  return Object.keys(theirs).flatMap((key) => missingFields(theirs[key], mine?.[key], `${path}.${key}`));
}
