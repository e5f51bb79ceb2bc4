import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { textOfLine } from '../../src/command/warm.ts';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { mainFile, serverEnvironment, startServerProcess } from '../support/server-process.ts';

test('a line is a text, a JSON string, or an object with one', () => {
  assert.equal(textOfLine('just words'), 'just words');
  assert.equal(textOfLine('\ufeff{"text": "after a byte order mark"}'), 'after a byte order mark');
  assert.equal(textOfLine('"a JSON \\n string"'), 'a JSON \n string');
  assert.equal(textOfLine('{"id": 1, "text": "of an object"}'), 'of an object');
  assert.equal(textOfLine('{"input": "of a request"}'), 'of a request');
  for (const line of ['42', '[1, 2]', 'null', '{not JSON', '"cut']) assert.equal(textOfLine(line), line);
  assert.equal(textOfLine('  '), undefined);
  assert.throws(() => textOfLine('{"other": 1}'), /neither text nor input/);
});

/** Runs the command beside no .env, with these variables. */
function runner(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const run = (options: Record<string, string>, ...words: string[]) => new Promise<{ code: number; out: string; err: string }>((resolve) => {
    execFile(process.execPath, [mainFile, ...words], { env: serverEnvironment(options, directory), cwd: directory }, (error, out, err) => {
      resolve({ code: Number(error?.code ?? 0), out, err });
    });
  });
  return { directory, run };
}

test('warm keeps to the bounds that the options set for requests', async (t) => {
  const bounds = { OPENAI_MAX_BATCH_SIZE: '10', MAX_REQUEST_SIZE: '4096' };
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_NAME: 'tiny', ...bounds });
  const { directory, run } = runner(t);
  const texts = [...Array.from({ length: 40 }, (_, i) => `text ${i}`), ...Array.from({ length: 40 }, (_, i) => `"${i}": ${'ü\\'.repeat(150)}`)];
  writeFileSync(join(directory, 'texts'), texts.join('\n'));
  const { code, out, err } = await run({ PORT: String(server.port), ...bounds }, 'warm', 'texts');
  assert.deepEqual({ code, out, err }, { code: 0, out: '80 texts are in the cache of tiny.\n', err: '' });
});

test('another program at that port is told from a server', async (t) => {
  const { directory, run } = runner(t);
  writeFileSync(join(directory, 'texts'), 'text');
  for (const page of ['<html>', '{}', 'null', '{"data": 5}']) {
    const other = createServer((_request, response) => response.end(page)).listen(0, '127.0.0.1');
    t.after(() => other.close());
    await once(other, 'listening');
    const options = { PORT: String((other.address() as AddressInfo).port) };
    for (const words of [['warm', 'texts'], ['cache', 'list'], ['cache', 'load', 'texts']]) {
      const { code, err } = await run(options, ...words);
      assert.equal(code, 69, `${words.join(' ')} at ${page}: ${err}`);
      assert.match(err, /^ortserve: http:\/\/127\.0\.0\.1:\d+ .*\n$/);
    }
  }
});

test('an answer that breaks off is told in a line', async (t) => {
  const { directory, run } = runner(t);
  writeFileSync(join(directory, 'texts'), 'text');
  const broken = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('{"data"', () => response.destroy());
  }).listen(0, '127.0.0.1');
  t.after(() => broken.close());
  await once(broken, 'listening');
  const { code, err } = await run({ PORT: String((broken.address() as AddressInfo).port) }, 'warm', 'texts');
  assert.deepEqual([code, err.split('\n').length], [69, 2], err);
});

test('warm sends the texts of a file to a running server, whose clients then find them', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_NAME: 'tiny' });
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'texts.jsonl');
  const texts = Array.from({ length: 200 }, (_, i) => `text ${i}`);
  writeFileSync(file, texts.map((text, i) => (i % 2 === 0 ? text : JSON.stringify({ text }))).join('\n'));
  const run = (port: number, ...words: string[]) => new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const env = serverEnvironment({ PORT: String(port) }, directory);
    execFile(process.execPath, [mainFile, 'warm', ...words], { env, cwd: directory }, (error, out, err) => {
      resolve({ code: Number(error?.code ?? 0), out, err });
    });
  });
  assert.deepEqual(await run(server.port, file), { code: 0, out: '200 texts are in the cache of tiny.\n', err: '' });
  const answer = await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body: JSON.stringify({ model: 'tiny', input: texts }) });
  assert.equal(answer.status, 200);
  assert.equal(await server.metric('ortserve_inputs_total{model="tiny"}'), 200);
  assert.equal((await run(server.port)).code, 2);
  assert.equal((await run(server.port, join(directory, 'none'))).code, 78);
  assert.equal((await run(1, file)).code, 69);
});
