import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseKeyList } from '../../src/access/keys.ts';
import { administeredNamespace, namespaceOf } from '../../src/access/namespace.ts';
import { Call, type AnyOperation } from '../../src/operation.ts';

const operation = {} as AnyOperation;

test('the namespace of any key can be named by an administrator', () => {
  const [key] = parseKeyList(JSON.stringify([{ name: 'a.b:c-d_e@f', key: 'x'.repeat(16), scopes: ['infer'] }]));
  const asked = new Call({ requestId: 'r', operation, timeoutMs: 1000 });
  asked.caller = key!;
  const namespace = namespaceOf(asked);
  const administered = new Call({ requestId: 'r', operation, timeoutMs: 1000, query: `namespace=${encodeURIComponent(namespace)}` });
  administered.caller = { name: 'root', scopes: new Set(['admin']) };
  assert.equal(administeredNamespace(administered), namespace);
});
