// Clients that leave in every phase of a request: nothing crashes, nothing leaks, and what had not started never runs.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';

const model = 'sentence-transformers/all-MiniLM-L6-v2';
const label = `{model="${model}"}`;
const requestCount = 1000;
/** All ask for the same text. */
const computing = { ENABLE_EMBEDDING_CACHE: 'false' };

/** A request whose text is about `words` words long, cut off after `bytes` bytes if given. */
function requestBytes(words: number, bytes?: number): Buffer {
  const body = JSON.stringify({ model, input: 'word '.repeat(words), encoding_format: 'base64' });
  const head = `POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.from(head + body).subarray(0, bytes);
}

/** Sends, waits, and breaks the connection with a reset or a close. */
async function leave(port: number, bytes: Buffer, waitMs: number, reset: boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
    socket.write(bytes, () => {
      setTimeout(() => (reset ? socket.resetAndDestroy() : socket.destroy()), waitMs);
    });
  });
}

async function embed(server: ServerProcess, input: string | string[]): Promise<number> {
  const answer = await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body: JSON.stringify({ model, input }) });
  assert.equal(answer.status, 200);
  return ((await answer.json()) as { data: { embedding: number[] }[] }).data[0]!.embedding.length;
}

async function untilIdle(server: ServerProcess): Promise<void> {
  for (;;) {
    const waiting = await server.metric(`ortserve_queue_inputs${label}`);
    const running = await server.metric(`ortserve_batches_running${label}`);
    // The scrape itself is the one request in flight.
    if (waiting + running === 0 && (await server.metric('ortserve_requests_in_flight')) <= 1) return;
    await sleep(20);
  }
}

test(`${requestCount} clients leave in all phases of their requests`, async (t) => {
  const server = await startServerProcess(t, computing);
  const bytesWhole = requestBytes(40).length;
  await embed(server, 'warm');
  const leaving: Promise<void>[] = [];
  for (let i = 0; i < requestCount; i++) {
    const bytes = requestBytes(40, [undefined, 20, bytesWhole - 30, undefined][i % 4]);
    leaving.push(leave(server.port, bytes, [0, 0, 2, 30, 120][i % 5]!, i % 2 === 0));
    if (i % 50 === 49) await Promise.all(leaving.splice(0));
  }
  await Promise.all(leaving);
  await untilIdle(server);

  assert.equal(server.process.exitCode, null);
  assert.ok((await server.metric(`ortserve_inputs_dropped_total${label}`)) > 0);
  const residentBefore = server.residentBytes();
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => embed(server, `normal traffic ${i}`)));
  assert.ok(answers.every((length) => length === 384));
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 200 }, (_, i) => leave(server.port, requestBytes(40), i % 30, true)));
    await untilIdle(server);
  }
  const grownMib = (server.residentBytes() - residentBefore) / 2 ** 20;
  assert.ok(grownMib < 40, `grew ${grownMib.toFixed(0)} MiB`);
});

test('what had not started when its client left never runs', async (t) => {
  const server = await startServerProcess(t, { ...computing, THREAD_POOL_WORKERS: '1' });
  await embed(server, 'warm');
  const before = await server.metric(`ortserve_inputs_total${label}`);
  // Long texts keep the only worker busy; what comes after them waits, and its clients leave.
  const longTexts = Array.from({ length: 24 }, () => 'word '.repeat(250));
  const busy = embed(server, longTexts);
  const leaving = Array.from({ length: 20 }, () => connect(server.port, '127.0.0.1').on('error', () => {}));
  for (const socket of leaving) socket.write(requestBytes(10));
  const requests = 1 + leaving.length;
  // The scrape itself is one more.
  while ((await server.metric('ortserve_requests_in_flight')) < requests + 1) await sleep(5);
  for (const socket of leaving) socket.resetAndDestroy();
  await busy;
  await untilIdle(server);
  const dropped = await server.metric(`ortserve_inputs_dropped_total${label}`);
  const ran = (await server.metric(`ortserve_inputs_total${label}`)) - before;
  assert.equal(ran + dropped, longTexts.length + leaving.length);
  assert.ok(dropped >= 15, `${dropped} of ${leaving.length} were dropped`);
});
