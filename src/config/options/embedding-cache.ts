// What is kept of embeddings.
import Type from 'typebox';
import { row, yesNo } from '../option.ts';

export const embeddingCacheOptions = {
  embeddingCacheEnabled: yesNo(true, {
    group: 'Embedding cache', flag: 'embedding-cache', env: ['ENABLE_EMBEDDING_CACHE'],
    help: 'Answer equal inputs with the vector that is known, here or in Redis, and compute equal ones at the same time once.' }),
  embeddingCacheBytesMax: Type.Integer({ minimum: 0, maximum: 1024 ** 4, default: 32 * 1024 * 1024, ...row({
    group: 'Embedding cache', flag: 'embedding-cache-size', env: ['EMBEDDING_CACHE_SIZE', 'EMBEDDING_CACHE_BYTES'], unit: 'bytes',
    help: 'Memory for vectors in this process; 0 keeps none here.' }) }),
  embeddingCacheTtlMs: Type.Integer({ minimum: 1000, maximum: 3_153_600_000_000, default: 604_800_000, ...row({
    group: 'Embedding cache', flag: 'embedding-cache-ttl', env: ['EMBEDDING_CACHE_TTL'], unit: 'seconds',
    help: 'How long a vector is kept that nobody asks for.' }) }),
  embeddingCacheSliding: yesNo(true, {
    group: 'Embedding cache', flag: 'embedding-cache-sliding', env: ['EMBEDDING_CACHE_SLIDING'],
    help: 'Use prolongs a vector\'s time; else it ends that long after it was computed.' }),
  embeddingCacheWaitMsMax: Type.Integer({ minimum: 1, maximum: 60_000, default: 50, ...row({
    group: 'Embedding cache', flag: 'embedding-cache-wait', env: ['EMBEDDING_CACHE_WAIT'], unit: 'seconds',
    help: 'How long a request may wait for Redis; then the vector is computed.' }) }),
  embeddingCachePrecision: Type.Enum(['lossless', 'fp16', 'int8'], { default: 'lossless', ...row({
    group: 'Embedding cache', flag: 'embedding-cache-precision', env: ['EMBEDDING_CACHE_PRECISION'],
    help: 'How vectors are stored in Redis. lossless gives the same bits; fp16 an error of at most 1/2048 of a value; ' +
      'int8 one of at most 1/254 of the vector\'s largest value.' }) }),
};
