// POST /query and GET /cache/stats: the semantic cache as its seed has it.
import type { AnswerEngine, Answered, CachedQuestion } from '../../engine/answer.ts';
import { administeredNamespace, namespaceOf } from '../../access/namespace.ts';
import { ServerError } from '../../errors.ts';
import type { AnyOperation, Call, Operation, Reply } from '../../operation.ts';
import { chatQuestion } from '../../upstream/chat-request.ts';
import { completionOf, textOf, type Completion } from '../../upstream/completion.ts';
import { bodyChecker, jsonOperation } from '../body.ts';
import { detailError } from '../detail-errors.ts';
import { jsonReply } from '../json-reply.ts';
import { partitionParts, type PartitionOptions } from './partition.ts';
import { CacheStatsResponse, NamespaceQuery, QueryRequest, QueryResponse } from './schema.ts';

export const cacheGroup = 'Semantic cache';

export type QueryOptions = PartitionOptions & {
  /** What the upstream is asked for; '' without one. */
  readonly model: string;
  readonly timeoutMs: number;
  /** Whether the client's own key goes on to the upstream. */
  readonly forwardsKey: boolean;
};

type Input = { readonly body: QueryRequest; readonly cached: CachedQuestion; readonly bytes: string };
type Output = { readonly answered: Answered; readonly completion: Completion | undefined; readonly dimension: number | null };

const checkQuery = bodyChecker(QueryRequest);

export function queryOperations(engine: AnswerEngine, options: QueryOptions): AnyOperation[] {
  return [query(engine, options), stats(engine)];
}

/** A question without more around it: it shares its answers with a chat of just that user turn. */
export function plainQuestion(text: string, call: Call, options: PartitionOptions & { readonly model: string }): CachedQuestion {
  const body = { messages: [{ role: 'user', content: text }] };
  const question = chatQuestion(body, options.model, partitionParts(body, call, options));
  if (question === undefined) throw new ServerError('INPUT_EMPTY', undefined, { field: 'query' });
  return { partition: { namespace: namespaceOf(call), key: question.key }, text, read: true };
}

function query(engine: AnswerEngine, options: QueryOptions): AnyOperation {
  return jsonOperation<Input, Output>({
    name: 'cache.query',
    alias: 'query',
    method: 'POST',
    path: '/query',
    summary: 'Answer a question from the semantic cache, or from the upstream.',
    group: cacheGroup,
    scope: 'infer',
    requestSchema: QueryRequest,
    responseSchema: QueryResponse,
    timeoutMs: options.timeoutMs,
    decodeBody(json, call) {
      const body = checkQuery(json);
      const { similarity_threshold: similarityMin, tags, ttl } = body;
      const cached: CachedQuestion = {
        ...plainQuestion(body.query, call, options),
        read: body.use_cache ?? true,
        similarityMin,
        ...(tags && { tags }),
        ...(ttl !== undefined && { ttlMs: ttl * 1000 }),
      };
      const request = { model: options.model, messages: [{ role: 'user', content: body.query }] };
      return { body, cached, bytes: JSON.stringify(request) };
    },
    async run({ cached, bytes }, call) {
      const answered = await engine.answer({ cached, body: bytes, streams: false, includesUsage: false, authorization: options.forwardsKey ? call.header('authorization') : '' }, call);
      const dimension = await engine.dimension();
      if (answered.from === 'nowhere') return { answered, completion: undefined, dimension };
      if (answered.from !== 'upstream') return { answered, completion: answered.completion, dimension };
      const { response, leave } = answered;
      const { status, headers } = await response.head;
      const whole = await response.whole.finally(leave);
      if (status !== 200) throw upstreamError(status, whole, headers);
      const completion = completionOf(whole);
      if (completion === undefined) throw new ServerError('UPSTREAM_FAILED', 'The upstream server gave no answer in text.');
      return { answered, completion, dimension };
    },
    encode: (output, call, { body }) => encodeQuery(output, call, body),
    encodeError: detailError,
  });
}

function encodeQuery({ answered, completion, dimension }: Output, call: Call, body: QueryRequest): Reply {
  const nearest = answered.from === 'upstream' || answered.from === 'nowhere' ? answered.nearest : undefined;
  return jsonReply(200, {
    query: body.query,
    response: completion === undefined ? null : textOf(completion),
    cache_hit: answered.from === 'cache',
    cached_data: answered.from === 'cache' ? cachedData(answered) : null,
    embedding_dimension: dimension,
    processing_time: Math.round(performance.now() - call.startedMs) / 1000,
    ...(nearest && { nearest: { entry_id: nearest.id, similarity_score: nearest.similarity, reason: nearest.reason } }),
    ...(answered.from === 'nowhere' && { detail: 'The cache has no answer, and this server has no upstream to ask: see UPSTREAM_URL.' }),
  });
}

function cachedData({ hit, completion }: Extract<Answered, { from: 'cache' }>): object {
  return {
    cached_response: textOf(completion),
    similarity_score: hit.similarity,
    cached_query: hit.entry.question,
    cache_timestamp: hit.entry.createdMs / 1000,
    entry_id: hit.entry.id,
    tier: hit.tier,
    reason: hit.reason,
  };
}

/** The upstream's own refusal, with its words and its wish to be left alone for a while. */
function upstreamError(status: number, bytes: Uint8Array, headers: Readonly<Record<string, string>>): ServerError {
  let message: unknown;
  try {
    message = (JSON.parse(Buffer.from(bytes).toString()) as { error?: { message?: unknown } }).error?.message;
  } catch {
    // Then its status must do.
  }
  const words = typeof message === 'string' ? `: ${message.slice(0, 500)}` : '.';
  const detail = `The upstream server answered ${status}${words}`;
  if (status !== 429) return new ServerError('UPSTREAM_FAILED', detail);
  const seconds = Number(headers['retry-after']);
  return new ServerError('RATE_LIMITED', detail, { retryAfterMs: seconds > 0 ? seconds * 1000 : 1000 });
}

function stats(engine: AnswerEngine): Operation<string, object> {
  return {
    name: 'cache.stats',
    method: 'GET',
    path: '/cache/stats',
    summary: 'How full the cache is and how often it hits.',
    querySchema: NamespaceQuery,
    group: cacheGroup,
    scope: 'infer',
    responseSchema: CacheStatsResponse,
    decode: (_bytes, call) => administeredNamespace(call),
    async run(namespace) {
      const all = (await engine.cache()).stats();
      const own = all.namespaces.find((each) => each.namespace === namespace);
      const hits = all.hitsExact + all.hitsSemantic;
      const asked = hits + all.misses;
      return {
        cache_size: own?.entries ?? 0,
        max_cache_size: all.entriesMaxPerNamespace,
        current_threshold: all.threshold,
        namespace,
        mode: all.mode,
        bytes: own?.bytes ?? 0,
        partitions: own?.partitions ?? 0,
        hits_exact: all.hitsExact,
        hits_semantic: all.hitsSemantic,
        misses: all.misses,
        hit_rate: asked === 0 ? 0 : hits / asked,
        refused: all.refused,
        false_hits_reported: all.falseHitsReported,
      };
    },
    encode: (body) => jsonReply(200, body),
    encodeError: detailError,
  };
}
