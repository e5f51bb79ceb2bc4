// What the semantic cache has in Redis, and the two scripts that touch it.
//
//   ortserve:{semantic}:entry:<id>  hash: r record, u uses, l last use, x end ('' never); ends by itself at x
//   ortserve:{semantic}:ids         sorted set of all ids by their making
//   ortserve:{semantic}:lessons     hash: id -> namespace and state as JSON
//   ortserve:{semantic}:seq         number of the last change
//   ortserve:{semantic}:log         stream of changes, trimmed; a change's id is its number, so a gap shows
//   ortserve:{semantic}:epoch       made with the first key: another value means another data set
//
// One hash tag, so that a cluster keeps all of it on one node and a change is one atomic script.
import { decodeRecord, RecordError, type StoredEntry } from './record.ts';
import type { Change, Lesson } from './store.ts';

const prefix = 'ortserve:{semantic}:';
export const keys = {
  seq: `${prefix}seq`, log: `${prefix}log`, ids: `${prefix}ids`, lessons: `${prefix}lessons`, epoch: `${prefix}epoch`,
  entry: (id: string) => `${prefix}entry:${id}`,
};

const epochLua = `
local epoch = redis.call('GET', KEYS[5])
if not epoch then epoch = ARGV[1]; redis.call('SET', KEYS[5], epoch) end`;

/**
 * KEYS: seq, log, ids, lessons, epoch. ARGV: epoch if there is none, entry prefix, length of the log, origin, then six for each change:
 * kind, id, and four values by kind. Gives the epoch and the number of the last change.
 */
export const writeLua = `${epochLua}
local ends = function(key, at)
  if at == '' then redis.call('PERSIST', key) else redis.call('PEXPIREAT', key, at) end
end
local seq = tonumber(redis.call('GET', KEYS[1]) or '0')
for i = 5, #ARGV, 6 do
  local kind, id, a, b, c, d = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local key = ARGV[2] .. id
  local changed = true
  if kind == 'p' then
    redis.call('HSET', key, 'r', a, 'u', '0', 'l', b, 'x', c)
    ends(key, c)
    redis.call('ZADD', KEYS[3], d, id)
    a = ''
  elseif kind == 'd' then
    local had = redis.call('DEL', key)
    changed = redis.call('ZREM', KEYS[3], id) + had > 0
  elseif kind == 'e' then
    local x = redis.call('HGET', key, 'x')
    changed = not (x and (x == '' or tonumber(x) > tonumber(a)))
    if changed then
      local had = redis.call('DEL', key)
      changed = redis.call('ZREM', KEYS[3], id) + had > 0
    end
    kind = 'd'
  elseif kind == 'u' then
    changed = redis.call('EXISTS', key) == 1
    if changed then
      redis.call('HINCRBY', key, 'u', a)
      redis.call('HSET', key, 'l', b, 'x', c)
      ends(key, c)
    end
  elseif a == '' then
    redis.call('HDEL', KEYS[4], id)
  else
    redis.call('HSET', KEYS[4], id, a)
  end
  if changed then
    seq = seq + 1
    -- With each change: when Redis refuses a later one, the log must not be ahead of its number.
    redis.call('SET', KEYS[1], seq)
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], seq .. '-0', 'k', kind, 'i', id, 'o', ARGV[4], 'a', a, 'b', b, 'c', c)
  end
end
return {epoch, seq}`;

/** KEYS as above; ARGV: epoch if there is none. Gives the epoch and the number of the last change. */
export const positionLua = `${epochLua}
return {epoch, tonumber(redis.call('GET', KEYS[1]) or '0')}`;

export const scriptKeys: readonly string[] = [keys.seq, keys.log, keys.ids, keys.lessons, keys.epoch];
export const entryPrefix = keys.entry('');

/** The six values of one change; `record` is that of a put. */
export function changeArguments(change: Change, record: (change: StoredEntry) => Uint8Array): (string | Buffer)[] {
  if (change.kind === 'put') {
    const { entry } = change;
    const bytes = record(change);
    return ['p', entry.id, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), String(entry.lastUsedMs), textOf(entry.expiresMs), String(entry.createdMs)];
  }
  if (change.kind === 'delete') {
    return change.endedMs === undefined ? ['d', change.id, '', '', '', ''] : ['e', change.id, String(change.endedMs), '', '', ''];
  }
  if (change.kind === 'use') {
    const { id, uses, lastUsedMs, expiresMs } = change.use;
    return ['u', id, String(uses), String(lastUsedMs), textOf(expiresMs), ''];
  }
  const { id, namespace, state } = change.lesson;
  return ['l', id, state === undefined ? '' : JSON.stringify({ namespace, state }), namespace, '', ''];
}

/** A change of the log, but for entries: those are read where they are. */
export function changeOf(fields: ReadonlyMap<string, string>): Change | undefined {
  const [kind, id, a, b, c] = ['k', 'i', 'a', 'b', 'c'].map((name) => fields.get(name) ?? '') as [string, string, string, string, string];
  if (kind === 'd') return { kind: 'delete', id };
  if (kind === 'u') return { kind: 'use', use: { id, uses: Number(a), lastUsedMs: Number(b), expiresMs: numberOf(c) } };
  if (kind === 'l') return { kind: 'lesson', lesson: lessonOf(id, a, b) };
  return undefined;
}

export function lessonOf(id: string, json: string, namespace = ''): Lesson {
  if (json === '') return { id, namespace, state: undefined };
  return { id, ...(JSON.parse(json) as { namespace: string; state: unknown }) };
}

/** What HMGET r u l x gave; undefined when there is no whole entry. */
export function entryOf(id: string, [record, uses, lastUsedMs, expiresMs]: readonly (Buffer | null)[]): Change | undefined {
  if (record === null || record === undefined) return undefined;
  try {
    const use = { id, uses: Number(uses), lastUsedMs: Number(lastUsedMs), expiresMs: numberOf(String(expiresMs ?? '')) };
    return { kind: 'put', ...decodeRecord(record, use) };
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}

/** What HMGET u l x gave of an entry that is known. */
export function useOf(id: string, [uses, lastUsedMs, expiresMs]: readonly (Buffer | null)[]): Change | undefined {
  if (uses === null || uses === undefined) return undefined;
  return { kind: 'use', use: { id, uses: 0, lastUsedMs: Number(lastUsedMs), expiresMs: numberOf(String(expiresMs ?? '')) } };
}

function textOf(value: number | undefined): string {
  return value === undefined ? '' : String(Math.ceil(value));
}

function numberOf(text: string): number | undefined {
  return text === '' ? undefined : Number(text);
}
