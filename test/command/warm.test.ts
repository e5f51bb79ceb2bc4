import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
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
