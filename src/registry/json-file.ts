// JSON files of a model folder, read with errors an operator can act on.
import { readFileSync } from 'node:fs';

/** A folder that cannot be served as it is: one plain sentence for the operator, paths included. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

export type Json = Readonly<Record<string, unknown>>;

/** Undefined when there is no such file. */
export function readJsonValue(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ManifestError(`${file} cannot be read: ${(error as Error).message}.`);
  }
  try {
    // Some editors begin a file with a mark.
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch {
    throw new ManifestError(`${file} is not valid JSON.`);
  }
}

/** An object's file; undefined when there is no such file. */
export function readJson(file: string): Json | undefined {
  const value = readJsonValue(file);
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ManifestError(`${file} must hold a JSON object.`);
  }
  return value as Json;
}

export function positiveInteger(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;
}

/** Zero or a positive integer, else undefined. */
export function tokenId(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined;
}
