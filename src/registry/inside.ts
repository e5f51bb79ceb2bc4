// Paths that files of a model give, which must not lead out of its folder.
import path from 'node:path';

/** By its words alone: what links there are is not looked at. */
export function staysInside(relative: string): boolean {
  return !path.isAbsolute(relative) && !relative.split(/[\\/]/).includes('..');
}
