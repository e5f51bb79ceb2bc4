// Three servers on one Redis, through HTTP: what one has, all have; what one deletes, none has, whoever was away.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisServer, skipUnlessRedis } from '../support/redis-server.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';

type QueryAnswer = { response: string | null; cache_hit: boolean };

/** Waiting ends as soon as it holds. A restarted Redis or process may take longer than a second on a busy machine. */
const recoverMs = 15_000;

async function query(server: ServerProcess, text: string): Promise<QueryAnswer> {
  const answer = await fetch(`${server.url}/query`, { method: 'POST', body: JSON.stringify({ query: text }) });
  return (await answer.json()) as QueryAnswer;
}

/** The entry's id, once the server has acknowledged it. */
async function put(server: ServerProcess, text: string, response: string): Promise<string> {
  const answer = await fetch(`${server.url}/cache/entries`, { method: 'POST', body: JSON.stringify({ query: text, response }) });
  assert.equal(answer.status, 201);
  return ((await answer.json()) as { id: string }).id;
}

async function drop(server: ServerProcess, id: string): Promise<void> {
  assert.equal((await fetch(`${server.url}/cache/entries/${id}`, { method: 'DELETE' })).status, 200);
}

/** How long until the server's answer to the question is that; null for none. */
async function untilAnswered(server: ServerProcess, text: string, response: string | null, withinMs: number): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    const answer = await query(server, text);
    const tookMs = performance.now() - startedMs;
    if (answer.response === response) return tookMs;
    assert.ok(tookMs < withinMs, `${text}: ${JSON.stringify(answer)} after ${tookMs} ms`);
    await sleep(10);
  }
}

test('three servers agree, one that slept and a Redis that was killed included', { skip: skipUnlessRedis() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const redis = await RedisServer.start(t, folder);
  const start = () => startServerProcess(t, { REDIS_URL: redis.url });
  const [first, second, third] = [await start(), await start(), await start()] as const;
  for (const server of [first, second, third]) await query(server, 'Is anybody there?');

  const password = await put(first, 'How do I reset my password?', 'By the link.');
  for (const server of [second, third]) {
    t.diagnostic(`put elsewhere, hit after ${(await untilAnswered(server, 'How do I reset my password?', 'By the link.', 1000)).toFixed(0)} ms`);
  }

  third.process.kill('SIGSTOP');
  await drop(second, password);
  const shipping = await put(second, 'What does shipping cost?', 'Five euros.');
  await untilAnswered(first, 'How do I reset my password?', null, 1000);
  await untilAnswered(first, 'What does shipping cost?', 'Five euros.', 1000);
  third.process.kill('SIGCONT');
  await untilAnswered(third, 'What does shipping cost?', 'Five euros.', recoverMs);
  await untilAnswered(third, 'How do I reset my password?', null, recoverMs);

  await put(third, 'Where is my invoice?', 'Under Orders.');
  await drop(third, shipping);
  await redis.kill();
  await redis.startAgain();
  for (const server of [first, second, third]) {
    await untilAnswered(server, 'Where is my invoice?', 'Under Orders.', recoverMs);
    await untilAnswered(server, 'What does shipping cost?', null, recoverMs);
    await untilAnswered(server, 'How do I reset my password?', null, recoverMs);
  }
});
