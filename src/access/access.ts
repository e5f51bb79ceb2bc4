// Who may do what: one table, made from the operations' own scopes, asked by every transport. Denies by default.
import { ServerError } from '../errors.ts';
import type { AnyOperation, Authorize, Caller } from '../operation.ts';
import { findKey, type ApiKey, type Scope } from './keys.ts';

export type AccessRules = {
  /** The keys in force now; undefined when none are configured. An empty list admits nobody. */
  readonly keys: () => readonly ApiKey[] | undefined;
  /** Whether only this machine can reach the server. */
  readonly loopback: boolean;
  readonly allowAdminWithoutKeys: boolean;
};

const anonymous: Caller = { name: 'anonymous', scopes: new Set<Scope>(['infer', 'metrics']) };
const anonymousAdmin: Caller = { name: 'anonymous', scopes: new Set<Scope>(['infer', 'metrics', 'admin']) };
const nobody: Caller = { name: 'anonymous', scopes: new Set<Scope>() };

/**
 * The decision for one call. Throws UNAUTHENTICATED without a valid key where one is needed, FORBIDDEN when
 * the key lacks the operation's scope, ADMIN_DISABLED where only a key could open it and the server has none.
 */
export function authorizer(rules: AccessRules): Authorize {
  return (operation, header) => {
    const { scope } = operation;
    const keys = rules.keys();
    if (keys === undefined) return withoutKeys(scope, rules);
    const offered = offeredKey(header);
    // A wrong key is refused even where none is needed: its owner believes that it works.
    const key = offered === '' ? undefined : findKey(keys, offered);
    if (offered !== '' && (key === undefined || key.expiresMs <= Date.now())) {
      if (scope === 'public') return nobody;
      throw new ServerError('UNAUTHENTICATED', key === undefined ? 'The API key is not known.' : 'The API key has expired.');
    }
    if (scope === 'public') return key ?? nobody;
    if (key === undefined) throw new ServerError('UNAUTHENTICATED');
    if (!allows(key.scopes, scope)) throw new ServerError('FORBIDDEN', `The API key lacks the scope '${scope}'.`);
    return key;
  };
}

function allows(scopes: ApiKey['scopes'], scope: Exclude<AnyOperation['scope'], 'public'>): boolean {
  if (scope !== 'cache') return scopes.has(scope);
  return scopes.has('admin') || [...scopes].some((each) => each.startsWith('cache:'));
}

function withoutKeys(scope: AnyOperation['scope'], rules: AccessRules): Caller {
  const admin = rules.loopback || rules.allowAdminWithoutKeys;
  if ((scope === 'admin' || scope === 'cache') && !admin) throw new ServerError('ADMIN_DISABLED');
  return admin ? anonymousAdmin : anonymous;
}

/** `Authorization: Bearer`, or the headers that Azure's and other clients send. */
function offeredKey(header: (name: string) => string): string {
  const bearer = /^bearer +(\S+) *$/i.exec(header('authorization'))?.[1];
  return bearer ?? (header('api-key') || header('x-api-key'));
}

/** Whether an address to listen on is reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
