import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import Type from 'typebox';
import { errorTable } from '../../../src/errors.ts';
import { Call, perform } from '../../../src/operation.ts';
import type { AnyOperation, Reply } from '../../../src/operation.ts';
import { docsOperations } from '../../../src/surface/docs/operations.ts';

let built = 0;
const operations: readonly AnyOperation[] = docsOperations({
  info: { title: 'a <b>', version: '1', errorSchemas: { System: Type.Object({ detail: Type.String() }) } },
  operations: () => {
    built += 1;
    return operations;
  },
  group: 'System',
  encodeError: ({ code, message }) => (
    { status: errorTable[code].http, contentType: 'application/json', body: message }),
});

async function get(path: string, rest?: string): Promise<Reply> {
  const operation = operations.find((candidate) => candidate.path === path);
  assert.ok(operation);
  const parameters: Record<string, string> = rest === undefined ? {} : { '*': rest };
  const call = new Call({ requestId: 'x', operation, timeoutMs: 10_000, parameters });
  return (await perform(operation, new Uint8Array(), call, { ended: () => undefined })).reply;
}

test('the description is made once, at its first use', async () => {
  assert.equal(built, 0);
  const reply = await get('/openapi.json');
  assert.equal(reply.contentType, 'application/json');
  assert.deepEqual(Object.keys(JSON.parse(String(reply.body)).paths), ['/openapi.json', '/docs', '/docs/', '/docs/{doc}']);
  await get('/openapi.json');
  assert.equal(built, 1);
});

describe('the page', () => {
  test('loads only files that the server has, seen from /docs and from /docs/', async () => {
    const pages = [['http://x/docs', await get('/docs')], ['http://x/docs/', await get('/docs/')]] as const;
    for (const [base, { body }] of pages) {
      const attributes = [...String(body).matchAll(/(?:src|href|data-spec)="([^"]*)"/g)];
      const links = attributes.map(([, link]) => new URL(link!, base));
      assert.ok(links.length >= 5);
      for (const { origin, pathname } of links) {
        assert.equal(origin, 'http://x');
        if (pathname === '/openapi.json') continue;
        assert.match(pathname, /^\/docs\/[^/]+$/);
        assert.equal((await get('/docs/*', pathname.slice('/docs/'.length))).status, 200, pathname);
      }
    }
  });

  test('allows scripts of this server only, and no inline ones', async () => {
    const reply = await get('/docs');
    const policy = reply.headers?.['content-security-policy'] ?? '';
    assert.match(policy, /^default-src 'self'; /);
    assert.doesNotMatch(policy, /script-src|unsafe-eval|https?:/);
    assert.doesNotMatch(String(reply.body), /<script>|\son\w+=|style=/);
  });

  test('escapes its title', async () => {
    assert.match(String((await get('/docs')).body), /<title>a &lt;b><\/title>/);
  });
});

describe('the files', () => {
  test('come with their type, and the same bytes each time', async () => {
    const css = await get('/docs/*', 'swagger-ui.css');
    assert.equal(css.contentType, 'text/css; charset=utf-8');
    assert.equal(css.headers?.['x-content-type-options'], 'nosniff');
    assert.ok((css.body as Uint8Array).length > 10_000);
    assert.equal(await get('/docs/*', 'swagger-ui.css'), css);
    assert.equal((await get('/docs/*', 'favicon-32x32.png')).contentType, 'image/png');
  });

  test('that are not on the list are not found, wherever their names lead', async () => {
    const names = [
      'package.json', 'index.html', '../package.json', '..%2Fpackage.json', '/etc/passwd', 'start.js/', 'constructor',
    ];
    for (const name of names) assert.equal((await get('/docs/*', name)).status, 404, name);
  });
});
