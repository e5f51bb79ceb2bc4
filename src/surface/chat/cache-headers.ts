// What an answer's headers say of the semantic cache, and what a request's headers ask of it.
import type { Answered, Hit } from '../../engine/answer.ts';
import type { Call } from '../../operation.ts';

/** RFC 9111, section 5.2.1: `no-store` keeps the cache out, `no-cache` asks the upstream and renews the entry. */
export function cacheControl(call: Call): { readonly read: boolean; readonly write: boolean } {
  const directives = call.header('cache-control').toLowerCase().split(',').map((directive) => directive.trim());
  const write = !directives.includes('no-store');
  return { read: write && !directives.includes('no-cache'), write };
}

export function cacheHeaders(answered: Answered, cached: boolean): Record<string, string> {
  switch (answered.from) {
    case 'cache':
      return hitHeaders(answered.hit);
    case 'flight':
      return { 'x-cache': 'joined' };
    default: {
      const { nearest } = answered;
      if (!cached) return { 'x-cache': 'bypass' };
      if (answered.from === 'upstream' && answered.joined) return { 'x-cache': 'joined' };
      return { 'x-cache': 'miss', ...(nearest && { 'x-cache-similarity': nearest.similarity.toFixed(4), 'x-cache-reason': printable(nearest.reason) }) };
    }
  }
}

function hitHeaders({ tier, entry, similarity, reason }: Hit): Record<string, string> {
  return {
    'x-cache': 'hit',
    'x-cache-tier': tier,
    'x-cache-similarity': similarity.toFixed(4),
    'x-cache-reason': printable(reason),
    'x-cache-entry': entry.id,
    age: String(Math.max(0, Math.round((Date.now() - entry.createdMs) / 1000))),
  };
}

/** A reason may repeat words of the questions. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200);
}
