// Bodies of the semantic cache's own API: the seed's, and entries as a resource.
import Type, { type Static } from 'typebox';
import { cacheEntriesPageMax } from '../../limits.ts';

/** Entries in a page that says no number. */
export const cacheEntriesPageDefault = 100;

const tags = Type.Array(Type.String({ minLength: 1, maxLength: 100 }), { maxItems: 32, description: 'For finding and deleting entries.' });
const ttl = Type.Number({ exclusiveMinimum: 0, maximum: 3_153_600_000, description: "Seconds until the entry ends. Unset: the server's own." });

export const QueryRequest = Type.Object({
  query: Type.String({ minLength: 1, maxLength: 131_072 }),
  use_cache: Type.Optional(Type.Boolean({ default: true, description: 'false asks the upstream, and renews the entry.' })),
  similarity_threshold: Type.Optional(Type.Number({
    minimum: 0, maximum: 1, description: "Least cosine of a hit, above the server's own threshold; a lower one changes nothing.",
  })),
  tags: Type.Optional(tags),
  ttl: Type.Optional(ttl),
});
export type QueryRequest = Static<typeof QueryRequest>;

const CachedData = Type.Object({
  cached_response: Type.String(),
  similarity_score: Type.Number({ description: 'Cosine; 1 for the same text.' }),
  cached_query: Type.String(),
  cache_timestamp: Type.Number({ description: 'Seconds since 1970.' }),
  entry_id: Type.String(),
  tier: Type.Union([Type.Literal('exact'), Type.Literal('semantic')]),
  reason: Type.String({ description: 'Why it is a hit.' }),
});

export const QueryResponse = Type.Object({
  query: Type.String(),
  response: Type.Union([Type.String(), Type.Null()], { description: 'null when the cache has none and there is no upstream.' }),
  cache_hit: Type.Boolean(),
  cached_data: Type.Union([CachedData, Type.Null()]),
  embedding_dimension: Type.Union([Type.Integer(), Type.Null()], { description: 'null while there is no model to compare questions.' }),
  processing_time: Type.Number({ description: 'Seconds.' }),
  nearest: Type.Optional(Type.Object({ entry_id: Type.String(), similarity_score: Type.Number(), reason: Type.String() }, {
    description: 'The entry that came nearest without being a hit, and why it is none.',
  })),
  detail: Type.Optional(Type.String({ description: 'Why there is no response.' })),
});

export const CacheStatsResponse = Type.Object({
  cache_size: Type.Integer({ description: 'Entries of the namespace.' }),
  max_cache_size: Type.Integer(),
  current_threshold: Type.Number(),
  namespace: Type.String(),
  mode: Type.String(),
  bytes: Type.Integer(),
  partitions: Type.Integer(),
  hits_exact: Type.Integer({ description: 'Of all namespaces, as what follows.' }),
  hits_semantic: Type.Integer(),
  misses: Type.Integer(),
  hit_rate: Type.Number(),
  refused: Type.Integer({ description: 'Misses whose neighbour was near enough but asks for something else.' }),
  false_hits_reported: Type.Integer(),
});

export const EntryRequest = Type.Object({
  query: Type.String({ minLength: 1, maxLength: 131_072 }),
  response: Type.String({ maxLength: 1_000_000 }),
  tags: Type.Optional(tags),
  ttl: Type.Optional(ttl),
});

export const EntryObject = Type.Object({
  id: Type.String(),
  namespace: Type.String(),
  query: Type.String(),
  response: Type.Union([Type.String(), Type.Null()]),
  tags: Type.Array(Type.String()),
  created: Type.Number({ description: 'Seconds since 1970.' }),
  expires: Type.Union([Type.Number(), Type.Null()]),
  last_used: Type.Number(),
  uses: Type.Integer(),
});

export const EntryList = Type.Object({
  entries: Type.Array(EntryObject),
  total: Type.Integer(),
  limit: Type.Integer(),
  offset: Type.Integer(),
});

export const DeletedResponse = Type.Object({ deleted: Type.Integer() });

export const FeedbackRequest = Type.Object({
  wrong: Type.Boolean({ description: 'true: the hit was no answer; the entry goes. false: it was right.' }),
  query: Type.Optional(Type.String({ minLength: 1, maxLength: 131_072, description: 'The question that it was given for.' })),
});

export const LoadResponse = Type.Object({
  loaded: Type.Integer(),
  passed_over: Type.Integer({ description: 'There already, or ended.' }),
  refused: Type.Integer({ description: 'Lines that make no sense.' }),
  problems: Type.Array(Type.String(), { description: 'What is wrong with the first of those.' }),
});

export const FeedbackResponse = Type.Object({ dropped: Type.Boolean() });

// The query parameters, for the API description; the operations check them.

const namespace = Type.Optional(Type.String({ description: "One that the key opens, or any for administrators. Unset: the caller's own." }));
const tag = Type.Optional(Type.String({ description: 'Only entries that have it.' }));

export const NamespaceQuery = Type.Object({ namespace });
export const DumpQuery = Type.Object({
  namespace: Type.Optional(Type.String({ description: "One that the key opens, or any, and * for all, for administrators. Unset: the caller's own." })),
});
export const ListQuery = Type.Object({
  namespace,
  tag,
  limit: Type.Optional(Type.Integer({ minimum: 0, maximum: cacheEntriesPageMax, default: cacheEntriesPageDefault })),
  offset: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
});
export const PurgeQuery = Type.Object({
  namespace,
  tag,
  older_than: Type.Optional(Type.Integer({ minimum: 0, description: 'Seconds.' })),
  all: Type.Optional(Type.Literal('true', { description: 'Everything; without a tag or an age it must be said.' })),
});
