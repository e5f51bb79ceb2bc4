// The language model behind the semantic cache, and what parts the answers of its clients.
import Type from 'typebox';
import { row, timerMsMax } from '../option.ts';

/** fetch() refuses addresses with a user and a password. */
function isUpstreamAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username + password === '';
}

export const upstreamOptions = {
  upstreamUrl: Type.Optional(Type.String({ pattern: '^https?://[^\\s?#]+$', maxLength: 2000, ...row({
    group: 'Upstream', flag: 'upstream-url', env: ['UPSTREAM_URL'],
    isUsable: isUpstreamAddress,
    allowed: 'a base URL as OpenAI clients take it, such as https://api.openai.com/v1, without user and password',
    help: 'Server that answers what the semantic cache cannot: any that speaks the chat API of OpenAI.' }) })),
  upstreamApiKey: Type.Optional(Type.String({ minLength: 1, maxLength: 4000, ...row({
    group: 'Upstream', flag: 'upstream-api-key', env: ['UPSTREAM_API_KEY'], secret: true,
    help: "Key for it. Unset: each client's own is passed on, unless this server has keys." }) })),
  upstreamModel: Type.Optional(Type.String({ minLength: 1, maxLength: 500, ...row({
    group: 'Upstream', flag: 'upstream-model', env: ['UPSTREAM_MODEL'],
    help: 'Its model for POST /query, and for chats that name none.' }) })),
  upstreamTimeoutMs: Type.Integer({ minimum: 1, maximum: timerMsMax, default: 120_000, ...row({
    group: 'Upstream', flag: 'upstream-timeout', env: ['UPSTREAM_TIMEOUT'], unit: 'seconds',
    help: 'How long it may take to begin its answer, and between two pieces of it.' }) }),
  upstreamRetries: Type.Integer({ minimum: 0, maximum: 10, default: 1, ...row({
    group: 'Upstream', flag: 'upstream-retries', env: ['UPSTREAM_RETRIES'],
    help: 'How often it is asked again when it could not be reached or answered 502, 503 or 504.' }) }),
  semanticModel: Type.Optional(Type.String({ minLength: 1, maxLength: 500, ...row({
    group: 'Upstream', flag: 'semantic-model', env: ['SEMANTIC_MODEL'],
    help: 'Embedding model that compares questions. Unset: the first.' }) })),
  cacheTemperatureMax: Type.Number({ minimum: 0, maximum: 2, default: 2, ...row({
    group: 'Upstream', flag: 'cache-temperature-max', env: ['CACHE_TEMPERATURE_MAX'],
    help: 'Chats with a higher temperature pass the cache by.' }) }),
  cachePartitionHeaders: Type.Array(Type.String({ pattern: '^[a-z0-9-]{1,100}$' }), { maxItems: 16, default: [], ...row({
    group: 'Upstream', flag: 'cache-partition-headers', env: ['CACHE_PARTITION_HEADERS'],
    allowed: 'a comma list or a JSON list of header names in lower case',
    help: 'Questions share answers only when these headers are equal, besides everything else.' }) }),
  cachePartitionFields: Type.Array(Type.String({ pattern: '^\\w{1,100}$' }), { maxItems: 16, default: [], ...row({
    group: 'Upstream', flag: 'cache-partition-fields', env: ['CACHE_PARTITION_FIELDS'],
    allowed: 'a comma list or a JSON list of fields of the body, such as user',
    help: 'The same for fields of the body that otherwise do not part them, such as user.' }) }),
};
