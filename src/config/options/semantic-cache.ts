// Which answers are kept by the meaning of their questions, for how long, and when a question is near enough.
import Type from 'typebox';
import { row, upTo, yesNo } from '../option.ts';

const ageMsMax = 3_153_600_000_000;

export const semanticCacheOptions = {
  semanticMode: Type.Enum(['verified', 'guarded', 'cosine'], { default: 'verified', ...row({
    group: 'Semantic cache', flag: 'semantic-mode', env: ['SEMANTIC_MODE'],
    help: 'What makes a near question a hit. verified: a small verifier decides. guarded: the similarity, unless numbers, negation, ' +
      'names or units differ. cosine: the similarity alone, which answers opposite questions alike.' }) }),
  similarityThreshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1, ...row({
    group: 'Semantic cache', flag: 'similarity-threshold', env: ['SIMILARITY_THRESHOLD'],
    help: 'Cosine below which nothing is a hit; clients may ask for more, not for less. ' +
      'Unset: 0.85 in mode cosine, 0.8 in guarded, 0.35 in verified, where it only chooses what the verifier looks at.' }) })),
  semanticEntriesMax: upTo(10_000_000, 1000, {
    group: 'Semantic cache', flag: 'max-cache-size', env: ['MAX_CACHE_SIZE'],
    help: 'Answers kept for each namespace; the least recently used go first, each namespace\'s own.' }),
  semanticNamespaceBytesMax: Type.Integer({ minimum: 65_536, maximum: 1024 ** 4, default: 256 * 1024 ** 2, ...row({
    group: 'Semantic cache', flag: 'semantic-namespace-size', env: ['SEMANTIC_NAMESPACE_SIZE'], unit: 'bytes',
    help: 'Memory for the answers of one namespace.' }) }),
  semanticBytesMax: Type.Integer({ minimum: 65_536, maximum: 1024 ** 4, default: 1024 ** 3, ...row({
    group: 'Semantic cache', flag: 'semantic-cache-size', env: ['SEMANTIC_CACHE_SIZE'], unit: 'bytes',
    help: 'Memory for the answers of all namespaces; beyond it the largest namespace loses some.' }) }),
  semanticTtlMs: Type.Integer({ minimum: 0, maximum: ageMsMax, default: 0, ...row({
    group: 'Semantic cache', flag: 'semantic-ttl', env: ['SEMANTIC_TTL'], unit: 'seconds',
    help: 'How long an answer is kept, unless it comes with a time of its own; 0 has no end.' }) }),
  semanticSliding: yesNo(false, {
    group: 'Semantic cache', flag: 'semantic-sliding', env: ['SEMANTIC_SLIDING'],
    help: 'Use prolongs an answer\'s time; else it ends that long after it was made.' }),
};
