// SIGTERM under load: every accepted request is answered, and the process ends with 0 by itself.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { mainFile, serverEnvironment, startServerProcess } from '../support/server-process.ts';

const body = JSON.stringify({ model: 'all-MiniLM-L6-v2', input: 'word '.repeat(60) });

/** Resolves with the status, or with 0 when the connection was refused or reset before any of the answer came. */
function post(port: number, agent: Agent): Promise<{ status: number; complete: boolean; sent: boolean }> {
  return new Promise((resolve) => {
    let sent = false;
    const outgoing = request({ port, host: '127.0.0.1', path: '/v1/embeddings', method: 'POST', agent, headers: { 'content-length': body.length } }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve({ status: answer.statusCode!, complete: answer.complete, sent }));
      answer.on('error', () => resolve({ status: answer.statusCode!, complete: false, sent }));
    });
    outgoing.on('socket', (socket) => socket.once('connect', () => (sent = true)));
    outgoing.on('error', () => resolve({ status: 0, complete: false, sent }));
    outgoing.end(body);
  });
}

test('200 requests in flight are all answered after SIGTERM', async (t) => {
  const server = await startServerProcess(t);
  const agent = new Agent({ maxSockets: 200 });
  t.after(() => agent.destroy());
  const answers = Array.from({ length: 200 }, () => post(server.port, agent));
  await sleep(300);
  const ended = server.stop('SIGTERM');
  const outcomes = await Promise.all(answers);
  assert.deepEqual(await ended, { code: 0, signal: null });
  assert.equal(outcomes.filter(({ status, complete }) => status === 200 && complete).length, 200);
});

test('under closed-loop load no accepted request is lost', async (t) => {
  const server = await startServerProcess(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  t.after(() => agent.destroy());
  const counts = { answered: 0, refused: 0, cut: 0 };
  let stopped = false;
  const loops = Array.from({ length: 32 }, async () => {
    while (!stopped) {
      const { status, complete } = await post(server.port, agent);
      if (status === 200 && complete) counts.answered += 1;
      else if (status === 0) return void (counts.refused += 1);
      else counts.cut += 1;
    }
  });
  await sleep(700);
  const ended = await server.stop('SIGTERM');
  stopped = true;
  await Promise.all(loops);
  assert.deepEqual(ended, { code: 0, signal: null });
  assert.equal(counts.cut, 0);
  assert.ok(counts.answered > 32);
});

test('while it drains, readiness is off and connections close after their answer', async (t) => {
  const server = await startServerProcess(t, { DRAIN_DELAY: '0.5' });
  const ended = server.stop('SIGTERM');
  await sleep(100);
  const readiness = await fetch(`${server.url}/readyz`);
  assert.equal(readiness.status, 503);
  assert.deepEqual(await readiness.json(), { status: 'draining' });
  assert.equal((await fetch(`${server.url}/livez`)).status, 200);
  assert.equal((await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body })).status, 200);
  assert.deepEqual(await ended, { code: 0, signal: null });
});

test('a signal that comes while it starts is not lost', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  // The warning is the first that it says, long before it listens.
  const env = serverEnvironment({ EMB_PROVIDER_STRANGER: '1' }, directory);
  const child = spawn(process.execPath, [mainFile], { cwd: directory, env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

test('the longest deadline is one, also after a delay', async (t) => {
  const server = await startServerProcess(t, { DRAIN_DELAY: '1', SHUTDOWN_TIMEOUT: '2147483' });
  assert.deepEqual(await server.stop('SIGTERM'), { code: 0, signal: null });
});

test('a second signal ends it at once', async (t) => {
  const server = await startServerProcess(t, { DRAIN_DELAY: '30' });
  void server.stop('SIGTERM');
  await sleep(100);
  assert.deepEqual(await server.stop('SIGTERM'), { code: null, signal: 'SIGKILL' });
});

test('a shutdown deadline ends what does not finish', async (t) => {
  const server = await startServerProcess(t, { SHUTDOWN_TIMEOUT: '0', THREAD_POOL_WORKERS: '1' });
  const agent = new Agent({ maxSockets: 40 });
  t.after(() => agent.destroy());
  const answers = Array.from({ length: 40 }, () => post(server.port, agent));
  await sleep(100);
  assert.deepEqual(await server.stop('SIGTERM'), { code: null, signal: 'SIGKILL' });
  await Promise.all(answers);
});
