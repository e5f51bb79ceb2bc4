// Listening: a port of our own or a clear failure.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { ListenError, listen, loadUws } from '../../src/transport/listen.ts';
import { echo, RawClient, request, serve, statuses } from './support.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
const failsWith = (code: string, text: RegExp) => (error: unknown): boolean =>
  error instanceof ListenError && error.code === code && text.test(error.message);

test('Two servers on one port: the second fails and says why', async (t) => {
  const { server } = await serve(t, [echo]);
  const { port } = server;
  const says = new RegExp(`127.0.0.1 port ${port}: the port is in use`);
  await assert.rejects(serve(t, [echo], { port }), failsWith('EADDRINUSE', says));
  await assert.rejects(serve(t, [echo], { port, host: '0.0.0.0' }), failsWith('EADDRINUSE', /in use/));
  const client = new RawClient(t, port).send(request('POST /echo', [], 'still here'));
  assert.deepEqual(statuses(await client.waitFor('still here')), [200]);
});

test('A port that another program has is in use', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  t.after(() => other.close());
  const { port } = other.address() as { port: number };
  await assert.rejects(serve(t, [echo], { port }), failsWith('EADDRINUSE', /in use/));
});

test('A port is free again as soon as the server is closed', async (t) => {
  const free = await serve(t, [echo]);
  const { port } = free.server;
  free.server.close();
  for (let round = 0; round < 3; round += 1) {
    // The server closes a connection that is open, which then lingers in TIME_WAIT.
    const { server } = await serve(t, [echo], { port });
    await new RawClient(t, port).send(request('POST /echo', [], 'x')).waitFor('"x"');
    server.close();
  }
});

test('An address of another machine is refused with a reason', async (t) => {
  const elsewhere = serve(t, [echo], { host: '192.0.2.1' });
  await assert.rejects(elsewhere, failsWith('EADDRNOTAVAIL', /does not have that address/));
  await assert.rejects(serve(t, [echo], { host: 'no-such-host.invalid' }), (error) => error instanceof ListenError);
});

test('localhost is reached by either address', async (t) => {
  const { server } = await serve(t, [echo], { host: 'localhost' });
  for (const host of hasIpv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
    const client = new RawClient(t, server.port, host).send(request('POST /echo', [], 'x'));
    assert.deepEqual(statuses(await client.waitFor('"x"')), [200], host);
  }
});

test('IPv6 addresses work, with brackets and without', { skip: hasIpv6 ? false : 'no IPv6 here' }, async (t) => {
  for (const host of ['::1', '[::1]']) {
    const { server } = await serve(t, [echo], { host });
    const client = new RawClient(t, server.port, '::1').send(request('POST /echo', [], 'x'));
    assert.deepEqual(statuses(await client.waitFor('"x"')), [200]);
  }
  const { server } = await serve(t, [echo], { host: '::' });
  await new RawClient(t, server.port, '127.0.0.1').send(request('POST /echo', [], 'x')).waitFor('"x"');
});

test('A listener stops accepting when it is closed', async (t) => {
  const uws = await loadUws();
  const app = uws.App();
  t.after(() => app.close());
  const listener = await listen(uws, app, '127.0.0.1', 0);
  assert.ok(listener.port > 0);
  listener.close();
  const client = new RawClient(t, listener.port);
  await client.waitClosed();
  assert.equal(client.errorCode, 'ECONNREFUSED');
});

test('A Node without a binary is told which have one', async () => {
  await assert.rejects(loadUws('23.1.0'), /does not load on Node 23\.1\.0 .*@uwsjs\/.*-23.*Node 20 and 22/);
});
