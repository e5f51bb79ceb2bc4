// API keys: who they belong to, what they may do, and until when. Kept as SHA-256 only.
// Invariant: a key's text is never stored, logged or compared by anything but its hash in constant time.
import { createHash, timingSafeEqual } from 'node:crypto';

/** What a key may be used for. `cache:<namespace>` opens one namespace of the semantic cache. */
export type Scope = 'infer' | 'admin' | 'metrics' | `cache:${string}`;

export type ApiKey = {
  /** For the log and the metrics; unique. */
  readonly name: string;
  readonly sha256: Buffer;
  readonly scopes: ReadonlySet<Scope>;
  /** Milliseconds since 1970; Infinity never. */
  readonly expiresMs: number;
};

/** A key list that cannot be used; each problem is a line that names the entry. */
export class KeyListError extends Error {
  override readonly name = 'KeyListError';
}

const scopePattern = /^(infer|admin|metrics|cache:[\w.:-]{1,100})$/;
const keyCharsMin = 16;

/**
 * Reads a JSON list of `{ name, key | sha256, scopes, expires? }`: `sha256` is the hex digest of the key, for
 * those who keep no plain keys on disk; `expires` an ISO date. Throws KeyListError with all problems.
 * @param others keys in force beside these; a name stands for one owner, who has a part of the semantic cache by it
 */
export function parseKeyList(text: string, others: readonly ApiKey[] = []): ApiKey[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch {
    throw new KeyListError('The key list is not JSON.');
  }
  if (!Array.isArray(entries)) throw new KeyListError('The key list must be a JSON list.');
  const problems: string[] = [];
  const keys = entries.flatMap((entry, i) => {
    const key = readEntry(entry as Record<string, unknown> | null, problems, `key ${i}`);
    return key === undefined ? [] : [key];
  });
  const names = [...others, ...keys].map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) problems.push(`two keys are named ${JSON.stringify(twice)}`);
  if (problems.length > 0) throw new KeyListError(`The key list cannot be used: ${problems.join('; ')}.`);
  return keys;
}

function readEntry(entry: Record<string, unknown> | null, problems: string[], place: string): ApiKey | undefined {
  if (typeof entry !== 'object' || entry === null) {
    problems.push(`${place} is not an object`);
    return undefined;
  }
  const { name, key, sha256, scopes, expires } = entry;
  const before = problems.length;
  if (typeof name !== 'string' || !/^[\w.:@-]{1,100}$/.test(name)) problems.push(`${place} needs a name of letters, digits and . : @ _ -`);
  if ((typeof key === 'string') === (typeof sha256 === 'string')) problems.push(`${place} needs either key or sha256`);
  if (typeof key === 'string' && key.length < keyCharsMin) problems.push(`${place} has a key shorter than ${keyCharsMin} characters`);
  if (typeof sha256 === 'string' && !/^[0-9a-f]{64}$/i.test(sha256)) problems.push(`${place} has a sha256 that is not 64 hex digits`);
  const valid = Array.isArray(scopes) && scopes.length > 0 && scopes.every((scope) => typeof scope === 'string' && scopePattern.test(scope));
  if (!valid) problems.push(`${place} needs scopes: infer, admin, metrics or cache:<namespace>`);
  const expiresMs = expires === undefined ? Infinity : Date.parse(String(expires));
  if (Number.isNaN(expiresMs)) problems.push(`${place} has an expires that is no date`);
  if (problems.length > before) return undefined;
  return {
    name: name as string,
    sha256: typeof sha256 === 'string' ? Buffer.from(sha256, 'hex') : hashKey(key as string),
    scopes: new Set(scopes as Scope[]),
    expiresMs,
  };
}

/** The key of a server that has just one. */
export function keyOfEverything(key: string): ApiKey {
  return { name: 'default', sha256: hashKey(key), scopes: new Set<Scope>(['infer', 'admin', 'metrics']), expiresMs: Infinity };
}

export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/** The key whose text that is, expired or not. Takes the same time whichever it is, and if there is none. */
export function findKey(keys: readonly ApiKey[], offered: string): ApiKey | undefined {
  const hash = hashKey(offered);
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(key.sha256, hash)) found = key;
  return found;
}
