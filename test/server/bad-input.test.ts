// What no client should send, sent to the real server: a 4xx in the shape of the API that names the field, and the
// server works on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { tinyBertDirectory } from '../support/fixtures.ts';

const model = 'tiny-bert';
const million = 'x'.repeat(1_000_000);

type Case = [what: string, body: string, status: number, field: string | undefined];

const json = (value: unknown) => JSON.stringify(value);
const common: Case[] = [
  ['an empty body', '', 400, undefined],
  ['half a document', '{"model":', 400, undefined],
  ['a nest of 100,000 lists', '['.repeat(100_000), 400, undefined],
  ['a nest of 100,000 closed lists', '['.repeat(100_000) + ']'.repeat(100_000), 400, undefined],
  ['a list', '[]', 400, undefined],
  ['null', 'null', 400, undefined],
  ['a string', '"text"', 400, undefined],
];

const openai: Case[] = [
  ...common,
  ['NaN', `{"model":"${model}","input":NaN}`, 400, undefined],
  ['an empty string', json({ model, input: '' }), 400, 'input'],
  ['an empty list', json({ model, input: [] }), 400, 'input'],
  ['a list with an empty string', json({ model, input: ['a', ''] }), 400, 'input[1]'],
  ['a number', json({ model, input: 5.5 }), 400, 'input'],
  ['a lone surrogate', `{"model":"${model}","input":["\\ud800"]}`, 400, 'input[0]'],
  ['a NUL', `{"model":"${model}","input":"\\u0000"}`, 400, 'input'],
  ['a million characters', json({ model, input: million }), 400, 'input'],
  ['2,049 inputs', json({ model, input: Array<string>(2049).fill('a') }), 400, 'input'],
  ['an id out of the vocabulary', json({ model, input: [5000] }), 400, 'input'],
  ['an id beyond 32 bits', json({ model, input: [2 ** 40] }), 400, 'input'],
  ['dimensions as text', json({ model, input: 'a', dimensions: '8' }), 400, 'dimensions'],
  ['a model of another kind', json({ model: { $gt: '' }, input: 'a' }), 400, 'model'],
  ['a model called __proto__', json({ model: '__proto__', input: 'a' }), 404, 'model'],
  ['a model called constructor', json({ model: 'constructor', input: 'a' }), 404, 'model'],
  ['a model with a path', json({ model: '../../etc/passwd', input: 'a' }), 404, 'model'],
];

const fastembed: Case[] = [
  ...common,
  ['an empty text', json({ model_name: model, text: '' }), 400, 'text'],
  ['a text of 8,193 characters', json({ model_name: model, text: 'x'.repeat(8193) }), 400, 'text'],
  ['a lone surrogate', `{"model_name":"${model}","text":"\\udfff"}`, 400, 'text'],
  ['no model', json({ text: 'a' }), 400, 'model_name'],
  ['a list as text', json({ model_name: model, text: ['a'] }), 400, 'text'],
];

const tei: Case[] = [
  ['an empty text', json({ inputs: '' }), 400, undefined],
  ['33 inputs', json({ inputs: Array<string>(33).fill('a') }), 413, undefined],
  ['an object', json({ inputs: {} }), 422, undefined],
  ['a million characters', json({ inputs: million }), 413, undefined],
];

async function post(server: ServerProcess, path: string, body: string) {
  const answer = await fetch(server.url + path, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  const text = await answer.text();
  assert.doesNotMatch(text, /\/work|\/home|node_modules|\.[tj]s:\d+/, 'an answer shows a path or a stack');
  return { status: answer.status, body: JSON.parse(text) as Record<string, any> };
}

test('bad input is refused in the shape of its API, and the server works on', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory });
  const pid = server.process.pid;
  for (const [what, body, status, field] of openai) {
    await t.test(`/v1/embeddings: ${what} gives ${status}`, async () => {
      const answer = await post(server, '/v1/embeddings', body);
      assert.equal(answer.status, status);
      assert.deepEqual(Object.keys(answer.body.error).sort(), ['code', 'message', 'param', 'type']);
      assert.equal(answer.body.error.param ?? undefined, field);
    });
  }
  for (const [what, body, status, field] of fastembed) {
    await t.test(`/embed: ${what} gives ${status}`, async () => {
      const answer = await post(server, '/embed', body);
      assert.equal(answer.status, status);
      assert.equal(typeof answer.body.detail, 'string');
      assert.equal(answer.body.extra?.[0].key, field);
    });
  }
  for (const [what, body, status] of tei) {
    await t.test(`/embed with inputs: ${what} gives ${status}`, async () => {
      const answer = await post(server, '/embed', body);
      assert.equal(answer.status, status);
      assert.deepEqual(Object.keys(answer.body).sort(), ['error', 'error_type']);
    });
  }
  await t.test('unknown paths and methods are JSON in the shape of their API', async () => {
    const unknown = await fetch(`${server.url}/v1/nothing`);
    assert.equal(unknown.status, 404);
    assert.ok('error' in ((await unknown.json()) as object));
    const method = await fetch(`${server.url}/v1/embeddings`);
    assert.equal(method.status, 405);
    assert.match(method.headers.get('allow')!, /POST/);
    assert.ok('detail' in ((await (await fetch(`${server.url}/nothing`)).json()) as object));
  });
  await t.test('a thousand wrong model names make no new series', async () => {
    // Node makes a series for each kind of garbage collection once it has happened.
    const isOurs = (line: string) => !line.startsWith('ortserve_nodejs_gc_');
    const series = async () => (await (await fetch(`${server.url}/metrics`)).text()).split('\n').filter(isOurs).length;
    await post(server, '/v1/embeddings', json({ model: 'x', input: 'a' }));
    await series(); // The scrape is a request, too, and has series of its own.
    const before = await series();
    for (let i = 0; i < 1000; i += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, j) => post(server, '/v1/embeddings', json({ model: `m${i + j}`, input: 'a' }))));
    }
    assert.equal(await series(), before);
  });
  const good = await post(server, '/v1/embeddings', json({ model, input: 'still here' }));
  assert.equal(good.status, 200);
  assert.equal(server.process.pid, pid);
  assert.equal(server.process.exitCode, null);
  assert.equal(server.lines.filter((line) => line.level === 'error' || line.level === 'fatal').length, 0);
});
