// Whose part of the semantic cache a call may use. A namespace is a tenant: it comes from the API key, so that nobody
// reaches another's answers by what a request says.
import { createHash } from 'node:crypto';
import { ServerError } from '../errors.ts';
import type { Call } from '../operation.ts';

const namespaceHeader = 'x-cache-namespace';
const prefix = 'cache:';
/** Names that requests can say. */
export const namespacePattern = /^[\w.:@-]{1,120}$/;

/**
 * The namespace that a call asks questions in. A key's own where its scopes name one, by header where they name several,
 * else one for the key alone. Without keys on the server, clients are told apart by the key they send for the upstream.
 * Throws FORBIDDEN and REQUEST_INVALID naming the header.
 */
export function namespaceOf(call: Call): string {
  const { caller } = call;
  const wanted = call.header(namespaceHeader);
  const own = ownNamespaces(call);
  if (wanted !== '') {
    if (!own.includes(wanted)) throw new ServerError('FORBIDDEN', 'The API key does not open that namespace.', { field: namespaceHeader });
    return wanted;
  }
  if (own.length === 1) return own[0]!;
  if (own.length > 1) {
    throw new ServerError('REQUEST_INVALID', `The API key opens several namespaces: name one in the header ${namespaceHeader}.`, { field: namespaceHeader });
  }
  if (caller.name !== 'anonymous') return `key:${caller.name}`;
  const authorization = call.header('authorization');
  if (authorization === '') return 'default';
  return `client:${createHash('sha256').update(authorization).digest('hex').slice(0, 32)}`;
}

/** The namespace to look after, from the query parameter `namespace`: any for an administrator, else the caller's. */
export function administeredNamespace(call: Call): string {
  const wanted = call.query.get('namespace');
  if (wanted === null) return namespaceOf(call);
  if (!namespacePattern.test(wanted)) throw new ServerError('REQUEST_INVALID', "'namespace' must be 1 to 120 letters, digits or . : @ _ -.", { field: 'namespace' });
  if (!call.caller.scopes.has('admin') && !ownNamespaces(call).includes(wanted)) {
    throw new ServerError('FORBIDDEN', 'The API key does not open that namespace.', { field: 'namespace' });
  }
  return wanted;
}

function ownNamespaces({ caller }: Call): string[] {
  return [...caller.scopes].filter((scope) => scope.startsWith(prefix)).map((scope) => scope.slice(prefix.length));
}
