import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, type ClientHttp2Stream } from 'node:http2';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { status, type ServiceError } from '@grpc/grpc-js';
import { authorizer } from '../../../src/access/access.ts';
import { keyOfEverything } from '../../../src/access/keys.ts';
import { errorTable, ServerError, type ErrorCode } from '../../../src/errors.ts';
import type { Call } from '../../../src/operation.ts';
import type { ListenError } from '../../../src/transport/listen.ts';
import { RateLimiter } from '../../../src/transport/rate-limit.ts';
import { until } from '../../support/until.ts';
import { Gate } from '../support.ts';
import { bytesOperation, connect, serve, serviceName } from './support.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
const echo = bytesOperation('ModelInfer', (text: string) => text);
const codeOf = async (promise: Promise<unknown>): Promise<string | undefined> => {
  return promise.then(() => 'OK', (error: ServiceError) => status[error.code]);
};

test('every error of the table has its gRPC status and its text', async (t) => {
  const fail = bytesOperation('ModelInfer', (code: string) => { throw new ServerError(code as ErrorCode, undefined, { retryAfterMs: 1500 }); });
  const client = connect(t, (await serve(t, [fail])).port);
  for (const [code, row] of Object.entries(errorTable)) {
    const error = await client.call('ModelInfer', code).then(() => assert.fail(), (thrown: ServiceError) => thrown);
    assert.deepEqual([error.code, error.details, error.metadata.get('retry-after-ms')], [row.grpc, row.message, ['1500']], code);
  }
});

test('a bug tells a client nothing', async (t) => {
  const fail = bytesOperation('ModelInfer', () => { throw new Error('the secret'); });
  const client = connect(t, (await serve(t, [fail])).port);
  const error = await client.call('ModelInfer', '').then(() => assert.fail(), (thrown: ServiceError) => thrown);
  assert.equal(error.code, status.INTERNAL);
  assert.ok(!error.details.includes('secret'));
});

test('an error that repeats half a character of the request is told like any other', async (t) => {
  const fail = bytesOperation('ModelInfer', () => { throw new ServerError('REQUEST_INVALID', "'\ud83d' is no input."); });
  const client = connect(t, (await serve(t, [fail])).port);
  const error = await client.call('ModelInfer', '', {}, 2000).then(() => assert.fail(), (thrown: ServiceError) => thrown);
  assert.deepEqual([error.code, error.details], [status.INVALID_ARGUMENT, "'\ufffd' is no input."]);
});

test('the same keys open it as HTTP', async (t) => {
  const key = keyOfEverything('0123456789abcdef');
  const streamed = bytesOperation('ModelStreamInfer', (text: string) => text);
  const authorize = authorizer({ keys: () => [key], loopback: true, allowAdminWithoutKeys: false });
  const live = bytesOperation('ServerLive', () => 'live', { scope: 'public' });
  const client = connect(t, (await serve(t, [echo, live, streamed], { authorize }, ['ModelStreamInfer'])).port);
  assert.equal(await codeOf(client.call('ModelInfer', 'a')), 'UNAUTHENTICATED');
  assert.equal(await codeOf(client.call('ModelInfer', 'a', { authorization: 'Bearer 0123456789abcdeX' })), 'UNAUTHENTICATED');
  assert.equal(await codeOf(client.call('ModelInfer', 'a', { authorization: 'Bearer 0123456789abcdef' })), 'OK');
  assert.equal(await codeOf(client.call('ServerLive', '')), 'OK');
  const stream = client.stream('ModelStreamInfer');
  stream.write(Buffer.from('a'));
  const [error] = await once(stream, 'error') as [ServiceError];
  assert.equal(error.code, status.UNAUTHENTICATED);
});

test('the rate limit counts gRPC calls, probes excepted', async (t) => {
  const rateLimiter = new RateLimiter({ requestsPerMinute: 2, trustedProxies: 0 });
  const live = bytesOperation('ServerLive', () => 'live', { scope: 'public', unlimited: true });
  const client = connect(t, (await serve(t, [echo, live], { rateLimiter })).port);
  const codes: (string | undefined)[] = [];
  for (let i = 0; i < 3; i++) codes.push(await codeOf(client.call('ModelInfer', 'a')));
  assert.deepEqual(codes, ['OK', 'OK', 'RESOURCE_EXHAUSTED']);
  assert.equal(await codeOf(client.call('ServerLive', '')), 'OK');
});

test('clients of either family have a limit of their own', { skip: hasIpv6 ? false : 'no IPv6 here' }, async (t) => {
  const rateLimiter = new RateLimiter({ requestsPerMinute: 1, trustedProxies: 0 });
  const { port } = await serve(t, [echo], { rateLimiter, host: '::' });
  const [six, four] = [connect(t, port, '[::1]'), connect(t, port)];
  assert.deepEqual([await codeOf(six.call('ModelInfer', 'a')), await codeOf(six.call('ModelInfer', 'a'))], ['OK', 'RESOURCE_EXHAUSTED']);
  assert.deepEqual([await codeOf(four.call('ModelInfer', 'a')), await codeOf(four.call('ModelInfer', 'a'))], ['OK', 'RESOURCE_EXHAUSTED']);
});

test('behind a trusted proxy each client has its own limit', async (t) => {
  const codesOf = async (trustedProxies: number): Promise<(string | undefined)[]> => {
    const rateLimiter = new RateLimiter({ requestsPerMinute: 1, trustedProxies });
    const client = connect(t, (await serve(t, [echo], { rateLimiter })).port);
    const codes: (string | undefined)[] = [];
    for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.2', 'unknown', '']) {
      codes.push(await codeOf(client.call('ModelInfer', 'a', address === '' ? {} : { 'x-forwarded-for': address })));
    }
    return codes;
  };
  assert.deepEqual(await codesOf(1), ['OK', 'RESOURCE_EXHAUSTED', 'OK', 'OK', 'RESOURCE_EXHAUSTED']);
  assert.deepEqual(await codesOf(0), ['OK', ...new Array<string>(4).fill('RESOURCE_EXHAUSTED')]);
});

test('what is not listed is not implemented', async (t) => {
  const client = connect(t, (await serve(t, [echo])).port);
  assert.equal(await codeOf(client.call('TraceSetting', '')), 'UNIMPLEMENTED');
  assert.equal(await codeOf(client.call('/other.Service/Method', '')), 'UNIMPLEMENTED');
  assert.equal(await codeOf(client.call('ModelInfer', 'a')), 'OK');
});

test('a message above the limit is refused, and the connection goes on', async (t) => {
  const client = connect(t, (await serve(t, [echo])).port);
  const [large, small] = await Promise.all([codeOf(client.call('ModelInfer', Buffer.alloc(2 * 1024 * 1024))), codeOf(client.call('ModelInfer', Buffer.alloc(1024 * 1024, 'a')))]);
  assert.deepEqual([large, small], ['RESOURCE_EXHAUSTED', 'OK']);
  assert.equal((await client.call('ModelInfer', 'a')).toString(), 'a');
});

test('a client that leaves, or whose deadline passes, cancels its call', async (t) => {
  const calls: Call[] = [];
  const gate = new Gate();
  const wait = bytesOperation('ModelInfer', async (text: string, call: Call) => {
    calls.push(call);
    await gate.pass();
    return text;
  });
  const server = await serve(t, [wait]);
  const client = connect(t, server.port);
  const left = codeOf(client.call('ModelInfer', 'a', {}, 10_000, (running) => void until(() => calls.length === 1, 'it runs').then(() => running.cancel())));
  assert.equal(await left, 'CANCELLED');
  assert.equal(await codeOf(client.call('ModelInfer', 'a', {}, 100)), 'DEADLINE_EXCEEDED');
  await until(() => calls.length === 2 && calls.every(({ cancelled }) => cancelled), 'both are cancelled');
  assert.ok(calls[1]!.timeoutMs <= 100);
  gate.open();
  await until(() => server.inFlight === 0, 'nothing is left');
});

test('a stream answers in order, errors as answers, and does not read on for a client that does not read', async (t) => {
  let begun = 0;
  const gate = new Gate();
  const slowFirst = bytesOperation('ModelStreamInfer', async (text: string) => {
    begun += 1;
    if (text === '0') await gate.pass();
    if (text === '3') throw new ServerError('INPUT_EMPTY');
    return text;
  });
  const client = connect(t, (await serve(t, [slowFirst], {}, ['ModelStreamInfer'])).port);
  const stream = client.stream('ModelStreamInfer');
  for (let i = 0; i < 100; i++) stream.write(Buffer.from(String(i)));
  stream.end();
  await until(() => begun >= 16, 'as many run as may');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(begun, 16);
  gate.open();
  const answers: string[] = [];
  for await (const answer of stream) answers.push(String(answer));
  assert.deepEqual(answers, Array.from({ length: 100 }, (_, i) => (i === 3 ? 'error INPUT_EMPTY' : String(i))));
});

test('what a stream has not begun never runs once its client has left', async (t) => {
  const calls: Call[] = [];
  const gate = new Gate();
  const wait = bytesOperation('ModelStreamInfer', async (text: string, call: Call) => {
    calls.push(call);
    await gate.pass();
    return text;
  });
  const server = await serve(t, [wait], {}, ['ModelStreamInfer']);
  const stream = connect(t, server.port).stream('ModelStreamInfer');
  stream.on('error', () => {});
  for (let i = 0; i < 40; i++) stream.write(Buffer.from(String(i)));
  await until(() => calls.length === 16, 'as many run as may');
  await new Promise((resolve) => setTimeout(resolve, 50));
  stream.cancel();
  await until(() => calls.every(({ cancelled }) => cancelled), 'they are cancelled');
  gate.open();
  await until(() => server.inFlight === 0, 'nothing is left');
  assert.equal(calls.length, 16);
});

test('a server that drains answers what runs, ends streams and takes nothing new', async (t) => {
  const gate = new Gate();
  const wait = bytesOperation('ModelInfer', async (text: string) => gate.pass().then(() => text));
  const server = await serve(t, [wait, bytesOperation('ModelStreamInfer', (text: string) => text)], {}, ['ModelStreamInfer']);
  const client = connect(t, server.port);
  const running = client.call('ModelInfer', 'a');
  const stream = client.stream('ModelStreamInfer');
  const ended = once(stream, 'error') as Promise<[ServiceError]>;
  stream.write(Buffer.from('b'));
  assert.equal(String((await once(stream, 'data') as [Buffer])[0]), 'b');
  await until(() => server.inFlight === 1, 'it runs');
  const drained = server.drain();
  assert.equal((await ended)[0].code, status.UNAVAILABLE);
  assert.equal(await codeOf(connect(t, server.port).call('ModelInfer', 'c', {}, 1000)), 'UNAVAILABLE');
  gate.open();
  assert.equal((await running).toString(), 'a');
  await drained;
});

// Of seventeen one has been read and waits for its turn.
for (const count of [1, 5, 17]) test(`a server that drains answers all that a stream has asked for: ${count}`, async (t) => {
  const gate = new Gate();
  const wait = bytesOperation('ModelStreamInfer', async (text: string) => gate.pass().then(() => text));
  const server = await serve(t, [wait], {}, ['ModelStreamInfer']);
  const stream = connect(t, server.port).stream('ModelStreamInfer');
  const answers: string[] = [];
  stream.on('data', (answer: Buffer) => answers.push(String(answer)));
  const ended = once(stream, 'error') as Promise<[ServiceError]>;
  for (let i = 0; i < count; i++) stream.write(Buffer.from(String(i)));
  await until(() => server.inFlight === Math.min(count, 16), 'as many run as may');
  await new Promise((resolve) => setTimeout(resolve, 50));
  const drained = server.drain();
  gate.open();
  assert.equal((await ended)[0].code, status.UNAVAILABLE);
  assert.deepEqual(answers, Array.from({ length: count }, (_, i) => String(i)));
  await drained;
});

test('who takes no answer, or never says all of a request, does not hold up draining', { timeout: 30_000 }, async (t) => {
  let begun = 0;
  const counted = (text: string): string => {
    begun += 1;
    return text;
  };
  const server = await serve(t, [bytesOperation('ModelInfer', counted), bytesOperation('ModelStreamInfer', counted)], { drainMsMax: 100 }, ['ModelStreamInfer']);
  const session = connectHttp2(`http://127.0.0.1:${server.port}`, { settings: { initialWindowSize: 0 } });
  t.after(() => session.destroy());
  const ask = (method: string): ClientHttp2Stream => session
    .request({ ':method': 'POST', ':path': `/${serviceName}/${method}`, 'content-type': 'application/grpc', te: 'trailers' })
    .on('error', () => {});
  const message = Buffer.from([0, 0, 0, 0, 1, 97]);
  ask('ModelInfer').write(message.subarray(0, 3));
  ask('ModelInfer').end(message);
  ask('ModelStreamInfer').write(message);
  await until(() => begun === 2 && server.inFlight === 0, 'both are answered');
  await server.drain();
});

test('who watches the health does not hold up draining', async (t) => {
  const server = await serve(t, [echo]);
  const watch = connect(t, server.port).stream('/grpc.health.v1.Health/Watch');
  const told: number[] = [];
  watch.on('data', (answer: Buffer) => told.push(answer[1]!));
  watch.on('error', () => {});
  watch.end(Buffer.alloc(0));
  await until(() => told.length === 1, 'it is told');
  const drained = await Promise.race([server.drain().then(() => true), new Promise((resolve) => setTimeout(resolve, 2000, false))]);
  assert.deepEqual([drained, told], [true, [1, 2]]);
});

test('health and reflection answer as their own clients ask', async (t) => {
  let ready = false;
  const server = await serve(t, [echo], { ready: () => ready });
  const client = connect(t, server.port);
  // grpc.health.v1.HealthCheckRequest { service = 1 }, HealthCheckResponse { status = 1: SERVING 1, NOT_SERVING 2 }.
  const check = async (service: string): Promise<number> => {
    const message = Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
    return (await client.call('/grpc.health.v1.Health/Check', service === '' ? '' : message))[1]!;
  };
  assert.deepEqual([await check(''), await check(serviceName)], [2, 2]);
  ready = true;
  await new Promise((resolve) => setTimeout(resolve, 1200));
  assert.deepEqual([await check(''), await check(serviceName)], [1, 1]);
  assert.equal(await codeOf(check('nope')), 'NOT_FOUND');
  for (const version of ['v1', 'v1alpha']) {
    const reflection = client.stream(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);
    // Its end comes with that of the connection.
    reflection.on('error', () => {});
    // ServerReflectionRequest { list_services = 7 }.
    reflection.write(Buffer.from([0x3a, 0x00]));
    const [answer] = await once(reflection, 'data') as [Buffer];
    assert.ok(answer.includes(serviceName), version);
    reflection.end();
  }
});

test('a port in use ends the start', async (t) => {
  const { port } = await serve(t, [echo]);
  await assert.rejects(serve(t, [echo], { port }), { name: 'ListenError', code: 'EADDRINUSE' });
});

test('an address that cannot be had ends the start with its reason', async (t) => {
  await assert.rejects(serve(t, [echo], { host: '192.0.2.1' }), { name: 'ListenError', code: 'EADDRNOTAVAIL' });
  const error = await serve(t, [echo], { host: 'no.such.name.invalid' }).then(() => assert.fail(), (thrown: ListenError) => thrown);
  assert.equal(error.name, 'ListenError');
  assert.ok(['ENOTFOUND', 'EAI_AGAIN'].includes(error.code), error.message);
});

test('IPv6 addresses work, with brackets and without', { skip: hasIpv6 ? false : 'no IPv6 here' }, async (t) => {
  for (const host of ['::1', '[::1]']) {
    const client = connect(t, (await serve(t, [echo], { host })).port, '[::1]');
    assert.equal(await codeOf(client.call('ModelInfer', 'a')), 'OK');
  }
});
