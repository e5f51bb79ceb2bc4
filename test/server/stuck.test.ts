// A model that loops for ever in native code, put into MODEL_DIR by hand: seen from outside, and the process replaced.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { freePort } from '../support/free-port.ts';
import { doubling, endlessLoop } from '../support/hostile-models.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { until } from '../support/until.ts';

/** Loading counts, too, and takes a second on a busy machine. */
const stuckSeconds = 5;

function modelDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-models-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const [name, bytes] of [['loop', endlessLoop], ['double', doubling]] as const) {
    mkdirSync(path.join(directory, name, '1'), { recursive: true });
    writeFileSync(path.join(directory, name, '1/model.onnx'), bytes);
  }
  return directory;
}

type Answer = { status: number; complete: boolean; headers: Record<string, unknown>; body: string };

/** Status 0 when the connection was refused, or closed before any of the answer came. */
function ask(port: number, agent: Agent, model: string, body: string): Promise<Answer> {
  return new Promise((resolve) => {
    const none = { status: 0, complete: false, headers: {}, body: '' };
    const options = { port, host: '127.0.0.1', path: `/models/${model}/inference`, method: 'POST', agent, headers: { 'content-length': body.length } };
    const outgoing = request(options, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      const end = () => resolve({ status: answer.statusCode!, complete: answer.complete, headers: answer.headers, body: text });
      answer.on('end', end).on('error', end);
    });
    outgoing.on('error', () => resolve(none));
    outgoing.end(body);
  });
}

const listening = ({ lines }: ServerProcess) => lines.filter(({ msg }) => msg === 'listening');

test('the others answer on, and another process takes over', { timeout: 60_000 }, async (t) => {
  const port = await freePort();
  const options = { MODEL_PATH: tinyBertDirectory, MODEL_DIR: modelDirectory(t), STUCK_TIMEOUT: String(stuckSeconds), PORT: String(port) };
  const server = await startServerProcess(t, options);
  t.after(() => {
    for (const { pid } of listening(server)) {
      try {
        process.kill(pid as number, 'SIGKILL');
      } catch {
        // It is the first, which has ended.
      }
    }
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  t.after(() => agent.destroy());
  const counts = { right: 0, refused: 0, other: 0 };
  let isOver = false;
  t.after(() => (isOver = true));
  const loops = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const { status, complete, body } = await ask(port, agent, 'double', '{"x": [[1, 2]]}');
      if (status === 200 && complete && body.includes('"y":[[2,4]]')) counts.right += 1;
      else if (status === 0) counts.refused += 1;
      else counts.other += 1;
      await sleep(status === 0 ? 20 : 2);
    }
  });
  const hung = await ask(port, agent, 'loop', '{"x": 1}');
  assert.equal(hung.status, 503, hung.body);
  assert.equal(JSON.parse(hung.body).code, 'MODEL_STUCK');
  assert.equal(hung.headers['retry-after'], '5');
  await until(() => listening(server).length === 2, 'another process listens', 20_000);
  const before = counts.right;
  await until(() => counts.right > before + 100, 'it answers', 20_000);
  isOver = true;
  await Promise.all(loops);
  assert.equal(counts.other, 0);
  assert.equal((await ask(port, agent, 'double', '{"x": [[1, 2]]}')).status, 200);
});

test('while what runs may finish, the model is shown as stuck and readiness is off', { timeout: 60_000 }, async (t) => {
  const changes = { STUCK_TIMEOUT: String(stuckSeconds), ON_STUCK: 'exit', DRAIN_DELAY: '1' };
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_DIR: modelDirectory(t), ...changes });
  const agent = new Agent();
  t.after(() => agent.destroy());
  const ended = new Promise((resolve) => server.process.once('exit', (_code, signal) => resolve(signal)));
  assert.equal((await ask(server.port, agent, 'loop', '{"x": 1}')).status, 503);
  assert.equal((await ask(server.port, agent, 'loop', '{"x": 1}')).status, 503);
  const readiness = await fetch(`${server.url}/readyz`);
  assert.equal(readiness.status, 503);
  assert.deepEqual(await readiness.json(), { status: 'stuck', models: ['loop:1'] });
  assert.equal((await fetch(`${server.url}/livez`)).status, 200);
  assert.equal(((await (await fetch(`${server.url}/models/loop`)).json()) as { status: string }).status, 'stuck');
  assert.equal(await server.metric('ortserve_model_stuck{model="loop:1"}'), 1);
  assert.equal((await ask(server.port, agent, 'double', '{"x": [[1, 2]]}')).status, 200);
  assert.equal(await ended, 'SIGKILL');
  assert.equal(listening(server).length, 1);
});

test('a server that is told to stop meanwhile is not replaced', { timeout: 60_000 }, async (t) => {
  const changes = { STUCK_TIMEOUT: String(stuckSeconds), DRAIN_DELAY: '1' };
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_DIR: modelDirectory(t), ...changes });
  const agent = new Agent();
  t.after(() => agent.destroy());
  assert.equal((await ask(server.port, agent, 'loop', '{"x": 1}')).status, 503);
  assert.deepEqual(await server.stop('SIGTERM'), { code: null, signal: 'SIGKILL' });
  await sleep(500);
  assert.equal(listening(server).length, 1);
});
