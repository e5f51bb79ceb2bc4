// Entries of the semantic cache as a resource: put, get, list, delete, told wrong, dumped and loaded.
import { administeredNamespace } from '../../access/namespace.ts';
import type { Entry, EntryPage, Selection } from '../../cache/semantic/types.ts';
import type { AnswerEngine, CachedQuestion } from '../../engine/answer.ts';
import { storedAnswer } from '../../engine/stored-answer.ts';
import { ServerError } from '../../errors.ts';
import { cacheEntriesPageMax, cacheLoadBytesMax } from '../../limits.ts';
import type { AnyOperation, Call, Operation } from '../../operation.ts';
import { completionFromText, textOf } from '../../upstream/completion.ts';
import { bodyChecker, jsonOperation } from '../body.ts';
import { detailError } from '../detail-errors.ts';
import { jsonReply } from '../json-reply.ts';
import { dumpOperation, loadOperation } from './dump.ts';
import { cacheGroup, plainQuestion } from './operations.ts';
import type { PartitionOptions } from './partition.ts';
import {
  cacheEntriesPageDefault, DeletedResponse, EntryList, EntryObject, EntryRequest, FeedbackRequest, FeedbackResponse, ListQuery,
  NamespaceQuery, PurgeQuery,
} from './schema.ts';

export type EntryOptions = PartitionOptions & {
  /** What the upstream is asked for; '' without one: entries put here answer questions to it. */
  readonly model: string;
};

const checkEntry = bodyChecker(EntryRequest);
const checkFeedback = bodyChecker(FeedbackRequest);

/** Everything here is for who looks after a namespace: a key with `cache:<namespace>` for its own, `admin` for all. */
export function entryOperations(engine: AnswerEngine, options: EntryOptions): AnyOperation[] {
  return [
    putEntry(engine, options), listEntries(engine), getEntry(engine), deleteEntry(engine), deleteEntries(engine), feedback(engine),
    dumpOperation(engine), loadOperation(engine, cacheLoadBytesMax),
  ];
}

const common = { group: cacheGroup, scope: 'cache', encodeError: detailError } as const;

function putEntry(engine: AnswerEngine, options: EntryOptions): AnyOperation {
  return jsonOperation<{ cached: CachedQuestion; response: string }, Entry>({
    ...common,
    name: 'cache.entries.put',
    method: 'POST',
    path: '/cache/entries',
    summary: 'Put an answer to a question into the cache.',
    querySchema: NamespaceQuery,
    requestSchema: EntryRequest,
    goodStatus: 201,
    responseSchema: EntryObject,
    decodeBody(json, call) {
      const { query, response, tags, ttl } = checkEntry(json);
      const plain = plainQuestion(query, call, options);
      const partition = { ...plain.partition, namespace: administeredNamespace(call) };
      return { cached: { ...plain, partition, ...(tags && { tags }), ...(ttl !== undefined && { ttlMs: ttl * 1000 }) }, response };
    },
    run: ({ cached, response }, call) => engine.put(cached, completionFromText(response, options.model, Date.now()), call),
    encode: (entry) => jsonReply(201, entryObject(entry)),
  });
}

type ListInput = { namespace: string; tag: string | undefined; offset: number; limit: number };

function listEntries(engine: AnswerEngine): Operation<ListInput, EntryPage> {
  return {
    ...common,
    name: 'cache.entries.list',
    method: 'GET',
    path: '/cache/entries',
    summary: 'List the entries of a namespace, oldest first.',
    querySchema: ListQuery,
    responseSchema: EntryList,
    decode: (_bytes, call) => ({
      namespace: administeredNamespace(call),
      tag: call.query.get('tag') ?? undefined,
      offset: wholeNumber(call, 'offset', 0, Number.MAX_SAFE_INTEGER),
      limit: wholeNumber(call, 'limit', cacheEntriesPageDefault, cacheEntriesPageMax),
    }),
    run: async ({ namespace, ...page }) => (await engine.cache()).list(namespace, page),
    encode: ({ entries, total }, _call, { limit, offset }) => jsonReply(200, { entries: entries.map(entryObject), total, limit, offset }),
  };
}

function getEntry(engine: AnswerEngine): Operation<{ namespace: string; id: string }, Entry> {
  return {
    ...common,
    name: 'cache.entries.get',
    method: 'GET',
    path: '/cache/entries/:id',
    summary: 'One entry.',
    querySchema: NamespaceQuery,
    responseSchema: EntryObject,
    decode: (_bytes, call) => ({ namespace: administeredNamespace(call), id: call.parameters['id']! }),
    run: async ({ namespace, id }) => (await engine.cache()).get(namespace, id) ?? notFound(),
    encode: (entry) => jsonReply(200, entryObject(entry)),
  };
}

function deleteEntry(engine: AnswerEngine): Operation<{ namespace: string; id: string }, number> {
  return {
    ...common,
    name: 'cache.entries.delete',
    method: 'DELETE',
    path: '/cache/entries/:id',
    summary: 'Delete one entry from index, store and disk.',
    querySchema: NamespaceQuery,
    responseSchema: DeletedResponse,
    decode: (_bytes, call) => ({ namespace: administeredNamespace(call), id: call.parameters['id']! }),
    run: async ({ namespace, id }) => (await engine.delete(namespace, { id })) || notFound(),
    encode: (deleted) => jsonReply(200, { deleted }),
  };
}

function deleteEntries(engine: AnswerEngine): Operation<{ namespace: string; selection: Selection }, number> {
  return {
    ...common,
    name: 'cache.entries.purge',
    method: 'DELETE',
    path: '/cache/entries',
    summary: 'Delete entries: those of a tag, those of an age, or all.',
    querySchema: PurgeQuery,
    responseSchema: DeletedResponse,
    decode(_bytes, call) {
      const tag = call.query.get('tag') ?? undefined;
      const olderThan = call.query.has('older_than') ? wholeNumber(call, 'older_than', 0, 1e10) * 1000 : undefined;
      const all = call.query.get('all') === 'true';
      if (tag === undefined && olderThan === undefined && !all) {
        throw new ServerError('REQUEST_INVALID', "Say what to delete: 'tag', 'older_than' or 'all=true'.", { field: 'all' });
      }
      return { namespace: administeredNamespace(call), selection: { tag, olderThanMs: olderThan, all } };
    },
    run: ({ namespace, selection }) => engine.delete(namespace, selection),
    encode: (deleted) => jsonReply(200, { deleted }),
  };
}

/** Who got the hit tells of it, so the scope is theirs. */
function feedback(engine: AnswerEngine): AnyOperation {
  return jsonOperation<{ namespace: string; id: string; wrong: boolean; query: string | undefined }, boolean>({
    ...common,
    scope: 'infer',
    name: 'cache.entries.feedback',
    method: 'POST',
    path: '/cache/entries/:id/feedback',
    summary: 'Tell whether a hit was right. A wrong one drops the entry and makes the cache stricter.',
    querySchema: NamespaceQuery,
    requestSchema: FeedbackRequest,
    responseSchema: FeedbackResponse,
    decodeBody(json, call) {
      const { wrong, query } = checkFeedback(json);
      return { namespace: administeredNamespace(call), id: call.parameters['id']!, wrong, query };
    },
    async run({ namespace, id, wrong, query }) {
      const known = await (await engine.cache()).feedback(namespace, id, { wrong, question: query });
      return known ? wrong : notFound();
    },
    encode: (wrong) => jsonReply(200, { dropped: wrong }),
  });
}

function entryObject(entry: Entry): object {
  const stored = storedAnswer(entry);
  return {
    id: entry.id,
    namespace: entry.partition.namespace,
    query: entry.question,
    response: stored === undefined ? null : textOf(stored.completion),
    tags: entry.tags,
    created: entry.createdMs / 1000,
    expires: entry.expiresMs === undefined ? null : entry.expiresMs / 1000,
    last_used: entry.lastUsedMs / 1000,
    uses: entry.uses,
  };
}

function wholeNumber(call: Call, name: string, missing: number, maximum: number): number {
  const text = call.query.get(name);
  if (text === null) return missing;
  if (!/^\d{1,16}$/.test(text) || Number(text) > maximum) {
    throw new ServerError('REQUEST_INVALID', `'${name}' must be a whole number from 0 to ${maximum}.`, { field: name });
  }
  return Number(text);
}

function notFound(): never {
  throw new ServerError('ENTRY_NOT_FOUND', undefined, { field: 'id' });
}
