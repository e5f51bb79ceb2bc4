import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authorizer, isLoopback, type AccessRules } from '../../src/access/access.ts';
import { parseKeyList } from '../../src/access/keys.ts';
import type { ServerError } from '../../src/errors.ts';
import type { AnyOperation } from '../../src/operation.ts';

const secrets = { infer: 'the-infer-key-0123', admin: 'the-admin-key-0123', metrics: 'the-metrics-key-01', old: 'the-expired-key-01' };
const keys = parseKeyList(
  JSON.stringify([
    { name: 'infer', key: secrets.infer, scopes: ['infer'] },
    { name: 'admin', key: secrets.admin, scopes: ['infer', 'admin'] },
    { name: 'metrics', key: secrets.metrics, scopes: ['metrics'] },
    { name: 'old', key: secrets.old, scopes: ['infer', 'admin', 'metrics'], expires: '2020-01-01' },
  ]),
);

const rules: AccessRules = { keys: () => keys, loopback: false, allowAdminWithoutKeys: false };
const open: AccessRules = { ...rules, keys: () => undefined };

/** `ok` or the error's code. */
function decide(rules: AccessRules, scope: AnyOperation['scope'], headers: Record<string, string> = {}): string {
  try {
    authorizer(rules)({ scope } as AnyOperation, (name) => headers[name] ?? '');
    return 'ok';
  } catch (error) {
    return (error as ServerError).code;
  }
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const scopes = ['public', 'infer', 'admin', 'metrics'] as const;

const matrix: Record<string, readonly string[]> = {
  infer: ['ok', 'ok', 'FORBIDDEN', 'FORBIDDEN'],
  admin: ['ok', 'ok', 'ok', 'FORBIDDEN'],
  metrics: ['ok', 'FORBIDDEN', 'FORBIDDEN', 'ok'],
  old: ['ok', 'UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED'],
};

for (const [name, expected] of Object.entries(matrix)) {
  test(`the key '${name}' opens just what its scopes say`, () => {
    assert.deepEqual(scopes.map((scope) => decide(rules, scope, bearer(secrets[name as keyof typeof secrets]))), expected);
  });
}

test('without a key, or with a wrong one, only public operations answer', () => {
  const expected = ['ok', 'UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED'];
  for (const headers of [{}, bearer('wrong'), bearer(''), { authorization: secrets.infer }, { authorization: 'Basic abc' }]) {
    assert.deepEqual(scopes.map((scope) => decide(rules, scope, headers)), expected);
  }
});

test('the scheme is case-insensitive, and the headers of other clients count', () => {
  for (const headers of [{ authorization: `bearer ${secrets.infer}` }, { 'api-key': secrets.infer }, { 'x-api-key': secrets.infer }]) {
    assert.equal(decide(rules, 'infer', headers), 'ok');
  }
});

test('an empty list of keys admits nobody', () => {
  assert.equal(decide({ ...rules, keys: () => [] }, 'infer'), 'UNAUTHENTICATED');
});

test('without configured keys, administration is for this machine, or for whoever the operator says', () => {
  assert.deepEqual(scopes.map((scope) => decide(open, scope)), ['ok', 'ok', 'ADMIN_DISABLED', 'ok']);
  assert.deepEqual(scopes.map((scope) => decide({ ...open, loopback: true }, scope)), ['ok', 'ok', 'ok', 'ok']);
  assert.deepEqual(scopes.map((scope) => decide({ ...open, allowAdminWithoutKeys: true }, scope)), ['ok', 'ok', 'ok', 'ok']);
});

test('addresses that only this machine reaches are known', () => {
  assert.deepEqual(['127.0.0.1', '127.8.9.1', '::1', '[::1]', 'localhost'].map(isLoopback), [true, true, true, true, true]);
  assert.deepEqual(['0.0.0.0', '::', '10.0.0.1', 'example.com', '127.0.0.1.example.com'].map(isLoopback), [false, false, false, false, false]);
});
