// The semantic cache of a real server, from a shell.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mainFile, serverEnvironment, startServerProcess } from '../support/server-process.ts';

const key = 'k'.repeat(32);

test('the cache is filled, listed, copied and emptied from a shell', async (t) => {
  const server = await startServerProcess(t, { API_KEY: key });
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const run = (...words: string[]) => new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const env = serverEnvironment({ PORT: String(server.port), API_KEY: key }, directory);
    execFile(process.execPath, [mainFile, 'cache', ...words], { env, cwd: directory }, (error, out, err) => {
      resolve({ code: Number(error?.code ?? 0), out, err });
    });
  });
  const file = join(directory, 'entries.jsonl');
  writeFileSync(file, [
    { query: 'How do I reset my password?', response: 'By the link.', tags: ['account'] },
    { query: 'What does shipping cost?', response: 'Five euros.', ttl: 3600 },
  ].map((each) => JSON.stringify(each)).join('\n'));
  const dumped = join(directory, 'dump.jsonl');

  await t.test('warm puts questions with their answers, list shows them, stats counts them', async () => {
    assert.deepEqual(await run('warm', file), { code: 0, out: '2 entries are in the cache.\n', err: '' });
    const lines = (await run('list')).out.trim().split('\n').map((line) => JSON.parse(line) as { query: string; expires: number | null });
    assert.deepEqual(lines.map(({ query }) => query).sort(), ['How do I reset my password?', 'What does shipping cost?']);
    assert.equal((JSON.parse((await run('stats')).out) as { cache_size: number }).cache_size, 2);
    const headers = { authorization: `Bearer ${key}` };
    const asked = await fetch(`${server.url}/query`, { method: 'POST', headers, body: JSON.stringify({ query: 'What does shipping cost?' }) });
    assert.equal(((await asked.json()) as { response: string }).response, 'Five euros.');
  });

  await t.test('a dump loads again what was deleted', async () => {
    writeFileSync(dumped, (await run('dump')).out);
    const [first] = (await run('list', 'tag=account')).out.trim().split('\n');
    assert.deepEqual(await run('delete', (JSON.parse(first!) as { id: string }).id), { code: 0, out: '{"deleted":1}\n', err: '' });
    assert.deepEqual(JSON.parse((await run('purge', 'all=true')).out), { deleted: 1 });
    assert.equal((await run('list')).out, '');
    assert.equal((JSON.parse((await run('load', dumped)).out) as { loaded: number }).loaded, 2);
    assert.equal((await run('list')).out.trim().split('\n').length, 2);
  });

  await t.test('what is wrong is told, and how it ends says what kind of wrong', async () => {
    for (const words of [['burn'], ['delete'], ['load'], ['stats', 'acme'], ['list', 'older_than=3']]) {
      const { code, err } = await run(...words);
      assert.equal(code, 2, words.join(' '));
      assert.match(err, /^ortserve: cache /);
    }
    for (const action of ['load', 'warm']) {
      for (const file of [join(directory, 'none'), directory]) {
        const { code, err } = await run(action, file);
        assert.equal(code, 78, err);
        assert.match(err, /^ortserve: .* cannot be read: .*\n$/);
      }
    }
    writeFileSync(dumped, 'no JSON\n');
    assert.equal((await run('load', dumped)).code, 78);
    writeFileSync(file, '{"query": "Why?"}\n'.repeat(20));
    const { code, err } = await run('warm', file);
    assert.equal(code, 69);
    assert.match(err, /^ortserve: The server answered 4\d\d: .*response.*\n$/);
    assert.match((await run('delete', 'none')).err, /answered 404/);
    assert.match((await run('purge')).err, /answered 4\d\d.*Say what to delete/);
  });
});
