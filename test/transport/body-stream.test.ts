// What a streamed body may hold while its reader does not read: counted with all others, bounded, and given back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpResponse } from 'uWebSockets.js';
import { streamWaitingBytesMax } from '../../src/limits.ts';
import type { AnyOperation, Call } from '../../src/operation.ts';
import { ByteBudget } from '../../src/byte-budget.ts';
import { BodyStream } from '../../src/transport/body-stream.ts';
import { until } from '../support/until.ts';
import { echo, Gate, operation, RawClient, request, serve } from './support.ts';

/** Reads its body once the gate is open, or leaves it. */
function gated(gate: Gate, reads = true): AnyOperation {
  return operation('POST', '/gated', async (_text, call: Call) => {
    await gate.pass();
    let bytes = 0;
    if (reads) for await (const chunk of call.body) bytes += chunk.length;
    return bytes;
  }, { body: { kind: 'stream', bytesMax: () => 1e9 } });
}

test('what waits for a reader counts as a body in flight until it is read', async (t) => {
  const gate = new Gate();
  const { server, url } = await serve(t, [gated(gate)]);
  const answered = fetch(`${url}/gated`, { method: 'POST', body: 'x'.repeat(200_000) });
  await until(() => server.bodyBytesInFlight === 200_000, 'all of it waits');
  gate.open();
  assert.equal(await (await answered).json(), 200_000);
  assert.equal(server.bodyBytesInFlight, 0);
});

test('a body that nobody reads is given back with the answer', async (t) => {
  const gate = new Gate();
  const { server, url } = await serve(t, [gated(gate, false)]);
  const answered = fetch(`${url}/gated`, { method: 'POST', body: 'x'.repeat(200_000) });
  await until(() => server.bodyBytesInFlight === 200_000, 'all of it waits');
  gate.open();
  assert.equal((await answered).status, 200);
  assert.equal(server.bodyBytesInFlight, 0);
});

test('a client that leaves gives back what waited, whether all of it had come or not', async (t) => {
  for (const declared of [100_000, 200_000]) {
    const gate = new Gate();
    const { server } = await serve(t, [gated(gate)]);
    const client = new RawClient(t, server.port).send(request('POST /gated', [`Content-Length: ${declared}`], 'x'.repeat(100_000)));
    await until(() => server.bodyBytesInFlight === 100_000, 'it waits');
    client.socket.destroy();
    await until(() => server.inFlight === 0, 'the client left');
    gate.open();
    await until(() => server.bodyBytesInFlight === 0, 'it is given back');
  }
});

test('above the budget of all bodies it is refused, and there is room again at once', async (t) => {
  const gate = new Gate();
  const { server, url, ended } = await serve(t, [gated(gate), echo], { bodyBytesInFlightMax: 300_000 });
  const answered = fetch(`${url}/gated`, { method: 'POST', body: 'x'.repeat(900_000) });
  await until(() => gate.waiting === 1, 'it runs');
  await until(() => server.bodyBytesInFlight === 0, 'it gave up what waited');
  assert.equal((await fetch(`${url}/echo`, { method: 'POST', body: 'x'.repeat(250_000) })).status, 200);
  gate.open();
  const refused = await answered;
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1']);
  assert.ok(ended.some(({ error }) => error?.code === 'OVERLOADED'));
  assert.equal(server.bodyBytesInFlight, 0);
});

test('one body that comes though the socket is paused has a bound of its own', async () => {
  let push: ((chunk: ArrayBuffer, isLast: boolean) => void) | undefined;
  let pauses = 0;
  const response = { onData: (handler: typeof push) => (push = handler), pause: () => (pauses += 1), resume: () => {} };
  const budget = new ByteBudget(Number.MAX_SAFE_INTEGER);
  const stream = new BodyStream(response as unknown as HttpResponse, Number.MAX_SAFE_INTEGER, budget);
  const chunk = new ArrayBuffer(streamWaitingBytesMax / 8);
  for (let each = 0; each < 8; each += 1) push!(chunk, false);
  assert.deepEqual([budget.bytes, pauses], [streamWaitingBytesMax, 1]);
  push!(new ArrayBuffer(1), false);
  assert.equal(budget.bytes, 0);
  await assert.rejects(stream[Symbol.asyncIterator]().next(), { code: 'OVERLOADED' });
});
