// Requests a minute, counted in memory. Redis is in rate-limit-redis.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimiter } from '../../src/transport/rate-limit.ts';
import { echo, json, measure, operation, RawClient, request, serve } from './support.ts';

const health = operation('GET', '/health', () => 'up', { unlimited: true });
const limiter = (requestsPerMinute: number, trustedProxies = 0): RateLimiter =>
  new RateLimiter({ requestsPerMinute, trustedProxies });

test('Requests over the limit are refused with a time to come back', async (t) => {
  const { server, url, ended } = await serve(t, [echo], { rateLimiter: limiter(2) });
  const ask = (): Promise<Response> => fetch(`${url}/echo`, { method: 'POST', body: 'x' });
  for (const remaining of ['1', '0']) {
    const { status, headers } = await ask();
    assert.equal(status, 200);
    assert.equal(headers.get('x-ratelimit-limit-requests'), '2');
    assert.equal(headers.get('x-ratelimit-remaining-requests'), remaining);
    assert.match(headers.get('x-ratelimit-reset-requests') ?? '', /^(\d+s|1m0s)$/);
  }
  const refused = await ask();
  assert.equal(refused.status, 429);
  assert.equal((await refused.json() as { code: string }).code, 'RATE_LIMITED');
  const seconds = Number(refused.headers.get('retry-after'));
  assert.ok(seconds >= 50 && seconds <= 60, `${seconds} s`);
  assert.equal(Math.ceil(Number(refused.headers.get('retry-after-ms')) / 1000), seconds);
  assert.equal(refused.headers.get('x-ratelimit-remaining-requests'), '0');
  assert.equal(ended.at(-1)?.error?.code, 'RATE_LIMITED');
  assert.equal(server.bodyBytesInFlight, 0);
});

test('An answer tells of one limit, though it comes from an upstream that has its own', async (t) => {
  const told = { 'x-ratelimit-limit-requests': '500', 'x-ratelimit-remaining-requests': '499', 'x-ratelimit-limit-tokens': '9000' };
  const chat = operation('GET', '/chat', () => 'x', { encode: (output) => json(output, 200, told) });
  const limitsOf = async (rateLimiter: RateLimiter | undefined): Promise<(string | null)[]> => {
    const { headers } = await fetch(`${(await serve(t, [chat], { rateLimiter })).url}/chat`);
    return Object.keys(told).map((name) => headers.get(name));
  };
  assert.deepEqual(await limitsOf(limiter(2)), ['2', '1', '9000']);
  assert.deepEqual(await limitsOf(undefined), ['500', '499', '9000']);
});

test('Probes and paths without operation are outside the limit', async (t) => {
  const { url } = await serve(t, [echo, health], { rateLimiter: limiter(1) });
  for (let count = 0; count < 5; count += 1) {
    const { status, headers } = await fetch(`${url}/health`);
    assert.equal(status, 200);
    assert.equal(headers.get('x-ratelimit-limit-requests'), null);
    assert.equal((await fetch(`${url}/nowhere`)).status, 404);
  }
});

test('Behind a trusted proxy each client has its own limit', async (t) => {
  const { url } = await serve(t, [echo], { rateLimiter: limiter(1, 1) });
  const ask = async (forwardedFor: string): Promise<number> =>
    (await fetch(`${url}/echo`, { method: 'POST', body: 'x', headers: { 'x-forwarded-for': forwardedFor } })).status;
  assert.equal(await ask('1.1.1.1'), 200);
  assert.equal(await ask('2.2.2.2'), 200);
  assert.equal(await ask('1.1.1.1'), 429);
  assert.equal(await ask('9.9.9.9, 1.1.1.1'), 429);
});

test('Bodies are whole behind the limiter, in one chunk or many', async (t) => {
  const { server, url } = await serve(t, [measure], { rateLimiter: limiter(100) });
  for (const length of [1, 1000, 900_000]) {
    const answered = await fetch(`${url}/measure`, { method: 'POST', body: 'x'.repeat(length) });
    assert.deepEqual(await answered.json(), { length, sum: (length * 120) % 65_521 });
  }
  assert.equal(server.bodyBytesInFlight, 0);
});

test('A refusal waits for the body, so the connection goes on', async (t) => {
  const { server } = await serve(t, [echo, health], { rateLimiter: limiter(1) });
  const client = new RawClient(t, server.port);
  client.send(request('POST /echo', [], 'first'));
  await client.waitFor('"first"');
  client.send(request('POST /echo', ['Content-Length: 8'], 'half'));
  client.send('rest' + request('GET /health'));
  assert.match(await client.waitFor('"up"'), /RATE_LIMITED/);
});

test('A client that leaves before the verdict is never served', async (t) => {
  const { server, ended } = await serve(t, [echo], { rateLimiter: limiter(10) });
  const client = new RawClient(t, server.port).send(request('POST /echo', ['Content-Length: 4'], 'ab'));
  await new Promise((resolve) => setTimeout(resolve, 30));
  client.socket.destroy();
  while (server.inFlight > 0) await new Promise(setImmediate);
  assert.deepEqual(ended.map(({ error }) => error?.code), ['CANCELLED']);
});

test('Clients beyond the number that is kept push out the oldest', async () => {
  const few = new RateLimiter({ requestsPerMinute: 1, trustedProxies: 0, clientsMax: 2 });
  assert.equal((await few.check('a')).allowed, true);
  assert.equal((await few.check('a')).allowed, false);
  await few.check('b');
  await few.check('c');
  assert.equal((await few.check('a')).allowed, true, 'forgotten');
  assert.equal((await few.check('c')).allowed, false, 'kept');
});
