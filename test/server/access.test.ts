// Keys on the real server: every operation with every kind of caller, rotation, and the official client.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import OpenAI, { AuthenticationError } from 'openai';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { startServerProcess } from '../support/server-process.ts';

const secrets = { infer: 'the-infer-key-0123', metrics: 'the-metrics-key-01' };

function keyFile(t: TestContext, keys: unknown): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'keys.json');
  writeFileSync(file, JSON.stringify(keys));
  return file;
}

const keys = [
  { name: 'app', key: secrets.infer, scopes: ['infer'] },
  { name: 'prometheus', key: secrets.metrics, scopes: ['metrics'] },
];

test('each operation answers just the keys that its scope names', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, API_KEYS_FILE: keyFile(t, keys) });
  const body = JSON.stringify({ model: 'tiny-bert', input: 'a' });
  const status = async (method: string, path: string, key?: string) => {
    const answer = await fetch(server.url + path, {
      method,
      ...(method === 'POST' && { body }),
      headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
    });
    if (answer.status === 401) assert.equal(answer.headers.get('www-authenticate'), 'Bearer');
    return answer.status;
  };
  const rows: [method: string, path: string, nobody: number, infer: number, metrics: number][] = [
    ['POST', '/v1/embeddings', 401, 200, 403],
    ['POST', '/embed', 401, 400, 403],
    ['GET', '/v1/models', 401, 200, 403],
    ['GET', '/metrics', 401, 403, 200],
    ['GET', '/stats', 401, 403, 200],
    ['GET', '/livez', 200, 200, 200],
    ['GET', '/readyz', 200, 200, 200],
    ['GET', '/docs', 200, 200, 200],
  ];
  for (const [method, path, nobody, infer, metrics] of rows) {
    assert.equal(await status(method, path), nobody, `${path} without a key`);
    assert.equal(await status(method, path, 'wrong-key'), nobody, `${path} with a wrong key`);
    assert.equal(await status(method, path, secrets.infer), infer, `${path} with infer`);
    assert.equal(await status(method, path, secrets.metrics), metrics, `${path} with metrics`);
  }
});

test('keys rotate without a restart', async (t) => {
  const file = keyFile(t, keys);
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, API_KEYS_FILE: file });
  const models = async (key: string) => (await fetch(`${server.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;
  assert.equal(await models(secrets.infer), 200);
  writeFileSync(file, JSON.stringify([{ name: 'app', key: 'the-new-key-of-the-app', scopes: ['infer'] }]));
  while ((await models('the-new-key-of-the-app')) !== 200) await sleep(50);
  assert.equal(await models(secrets.infer), 401);
});

test('the official client gets an AuthenticationError with the code it knows', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, API_KEY: 'the-only-key-there-is' });
  const client = (apiKey: string) => new OpenAI({ apiKey, baseURL: `${server.url}/v1`, maxRetries: 0 });
  const input = { model: 'tiny-bert', input: 'a' };
  assert.equal((await client('the-only-key-there-is').embeddings.create(input)).data.length, 1);
  const error = await client('sk-wrong').embeddings.create(input).catch((each: unknown) => each);
  assert.ok(error instanceof AuthenticationError);
  assert.equal(error.code, 'invalid_api_key');
  const log = JSON.stringify(server.lines);
  assert.ok(!log.includes('sk-wrong') && !log.includes('the-only-key'));
});

test('a server without keys that others reach says so in its log', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, HOST: '0.0.0.0' });
  assert.ok(server.lines.some(({ level, msg }) => level === 'warn' && /no API keys/.test(String(msg))));
});
