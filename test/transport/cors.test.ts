// Cross-origin requests, as a browser makes them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CorsOptions } from '../../src/transport/cors.ts';
import { echo, serve } from './support.ts';

const page = 'https://page.example';
const any: CorsOptions = { enabled: true, origins: ['*'] };
const listed: CorsOptions = { enabled: true, origins: [page, 'http://localhost:3000'] };

const preflight = (headers = 'authorization,content-type', origin = page): RequestInit => ({
  method: 'OPTIONS',
  headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': headers },
});

test('A page of any origin may call and read every header', async (t) => {
  const { url } = await serve(t, [echo], { cors: any });
  const { headers } = await fetch(`${url}/echo`, { method: 'POST', body: 'x', headers: { origin: page } });
  assert.equal(headers.get('access-control-allow-origin'), '*');
  assert.equal(headers.get('access-control-expose-headers'), '*');
  assert.equal(headers.get('access-control-allow-credentials'), null);
  assert.equal(headers.get('vary'), null);
});

test('Only listed origins may call, and caches keep the answers apart', async (t) => {
  const { url } = await serve(t, [echo], { cors: listed });
  const ask = async (origin: string): Promise<Headers> =>
    (await fetch(`${url}/echo`, { method: 'POST', body: 'x', headers: { origin } })).headers;
  assert.equal((await ask(page)).get('access-control-allow-origin'), page);
  for (const origin of ['https://evil.example', `${page}.evil.example`, 'null', '']) {
    const headers = await ask(origin);
    assert.equal(headers.get('access-control-allow-origin'), null, origin);
    assert.equal(headers.get('vary'), 'Origin');
  }
});

test('A preflight is told methods, its own headers and how long that holds', async (t) => {
  const { url } = await serve(t, [echo], { cors: listed });
  const { status, headers } = await fetch(`${url}/echo`, preflight());
  assert.equal(status, 204);
  assert.equal(headers.get('access-control-allow-origin'), page);
  assert.equal(headers.get('access-control-allow-methods'), 'POST, OPTIONS');
  assert.equal(headers.get('access-control-allow-headers'), 'authorization,content-type');
  assert.equal(headers.get('access-control-max-age'), '7200');
  assert.equal(headers.get('access-control-allow-credentials'), null);
  assert.match(headers.get('vary') ?? '', /Origin/);
});

test('A preflight from elsewhere is told nothing', async (t) => {
  const { url } = await serve(t, [echo], { cors: listed });
  const { status, headers } = await fetch(`${url}/echo`, preflight('authorization', 'https://evil.example'));
  assert.equal(status, 204);
  assert.equal(headers.get('access-control-allow-origin'), null);
  assert.equal(headers.get('access-control-allow-headers'), null);
});

test('Errors can be read by a page too', async (t) => {
  const { url } = await serve(t, [echo], { cors: any, requestBytesMax: 1024 });
  const asked = [
    fetch(`${url}/nowhere`, { headers: { origin: page } }),
    fetch(`${url}/echo`, { headers: { origin: page } }),
    fetch(`${url}/echo`, { method: 'POST', body: 'x'.repeat(2000), headers: { origin: page } }),
  ];
  for (const { status, headers } of await Promise.all(asked)) {
    assert.ok(status >= 400);
    assert.equal(headers.get('access-control-allow-origin'), '*');
  }
});

test('Without CORS no such header is sent', async (t) => {
  const { url } = await serve(t, [echo]);
  const { headers } = await fetch(`${url}/echo`, preflight());
  assert.deepEqual([...headers.keys()].filter((name) => name.startsWith('access-control') || name === 'vary'), []);
});
