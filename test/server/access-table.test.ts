// Every operation of the running server with every kind of key, from the server's own description: what a key's scope
// does not name is refused, what it names is not.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';

type Described = { readonly operationId: string; readonly security: readonly Record<string, readonly string[]>[] };
type Row = { readonly id: string; readonly method: string; readonly path: string; readonly scope: string };

/** `undefined` sends no key. Its scopes; none for what is no key or is one no more. */
const callers: readonly { readonly title: string; readonly key: string | undefined; readonly scopes: readonly string[] }[] = [
  ...(['infer', 'admin', 'metrics', 'cache:team'] as const).map((scope) => {
    return { title: `a key for ${scope}`, key: `key-for-${scope}-0123456789`, scopes: [scope] };
  }),
  { title: 'a key for all', key: 'key-for-all-0123456789', scopes: ['infer', 'admin', 'metrics', 'cache:team'] },
  { title: 'a key that expired', key: 'key-that-expired-0123', scopes: [] },
  { title: 'a key that is not known', key: 'key-of-nobody-01234567', scopes: [] },
  { title: 'no key', key: undefined, scopes: [] },
];

function keyFile(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const rows = callers.flatMap(({ title, key, scopes }, i) => {
    if (key === undefined || title.includes('not known')) return [];
    const sha256 = createHash('sha256').update(key).digest('hex');
    if (scopes.length > 0) return [{ name: `key-${i}`, sha256, scopes }];
    return [{ name: `key-${i}`, sha256, scopes: ['infer', 'admin', 'metrics'], expires: '2020-01-01' }];
  });
  const file = join(directory, 'keys.json');
  writeFileSync(file, JSON.stringify(rows));
  return file;
}

async function tableOf(server: ServerProcess): Promise<Row[]> {
  const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: Record<string, Record<string, Described>> };
  return Object.entries(paths).flatMap(([path, item]) => Object.entries(item).map(([method, { operationId, security }]) => {
    // No model is called so: what may be done ends in an error about that, and changes nothing.
    return { id: operationId, method: method.toUpperCase(), path: path.replaceAll(/\{[^}]*\}/g, 'none'), scope: security[0]?.['bearer']?.[0] ?? 'public' };
  }));
}

/** Who looks after one namespace of the semantic cache, or after all. */
function allows(scopes: readonly string[], scope: string): boolean {
  if (scope !== 'cache') return scopes.includes(scope);
  return scopes.includes('admin') || scopes.some((each) => each.startsWith('cache:'));
}

async function ask(server: ServerProcess, { method, path }: Row, headers: Record<string, string>) {
  const answer = await fetch(server.url + path, { method, headers, ...(method !== 'GET' && { body: '{}' }) });
  return { status: answer.status, text: await answer.text(), challenge: answer.headers.get('www-authenticate') };
}

test('every operation answers just the keys that its scope names', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, API_KEYS_FILE: keyFile(t) });
  const table = await tableOf(server);
  // The walk must not be of an empty table, nor of one where all is open.
  for (const scope of ['public', 'infer', 'admin', 'metrics', 'cache']) assert.ok(table.some((row) => row.scope === scope), scope);
  const wanted = table.filter(({ method, path }) => method === 'POST' && /^\/models\/.*\/?(load|unload|reload|upload)$/.test(path));
  assert.deepEqual(new Set(wanted.map(({ scope }) => scope)), new Set(['admin']));

  for (const { title, key, scopes } of callers) {
    for (const row of table) {
      const place = `${row.id} (${row.scope}) with ${title}`;
      const { status, text, challenge } = await ask(server, row, key === undefined ? {} : { authorization: `Bearer ${key}` });
      const lacks = /lacks the scope/.test(text);
      if (row.scope === 'public' || allows(scopes, row.scope)) assert.ok(status !== 401 && !lacks, `${place}: ${status} ${text}`);
      else if (scopes.length > 0) assert.ok(status === 403 && lacks, `${place}: ${status} ${text}`);
      else assert.deepEqual([status, challenge], [401, 'Bearer'], place);
      if (key !== undefined) assert.ok(!text.includes(key), place);
    }
  }
  // Refused before the body was looked at: no model was touched.
  const health = (await (await fetch(`${server.url}/health`)).json()) as { models: { state: string }[] };
  assert.deepEqual(health.models.map(({ state }) => state), ['ready']);
});

test('a key counts in each header that a client may send it in', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, API_KEYS_FILE: keyFile(t) });
  const row = { id: '', method: 'GET', path: '/v1/models', scope: 'infer' };
  const { key } = callers[0]!;
  for (const headers of [{ authorization: `Bearer ${key}` }, { authorization: `bearer ${key}` }, { 'x-api-key': key! }, { 'api-key': key! }]) {
    assert.equal((await ask(server, row, headers as Record<string, string>)).status, 200);
  }
  for (const authorization of [`Basic ${key}`, key!, 'Bearer', `Bearer ${key} more`]) {
    assert.equal((await ask(server, row, { authorization })).status, 401, authorization);
  }
});

test('without keys, on an address that others reach, just administration is refused', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, HOST: '0.0.0.0' });
  for (const row of await tableOf(server)) {
    const { status, text } = await ask(server, row, {});
    const refused = status === 403 && /needs API keys/.test(text);
    assert.equal(refused, row.scope === 'admin' || row.scope === 'cache', `${row.id}: ${status} ${text}`);
  }
});
