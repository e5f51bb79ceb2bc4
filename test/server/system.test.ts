// The shared paths on the real server: probes, totals, metrics, documentation.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Compile } from 'typebox/compile';
import { HealthResponse, ReadyResponse } from '../../src/surface/system/schema.ts';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { readmeFile } from '../support/readme-tables.ts';
import { startServerProcess } from '../support/server-process.ts';

test('the shared paths answer', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory });
  const get = (path: string, accept = '*/*') => fetch(server.url + path, { headers: { accept } });
  const body = JSON.stringify({ model: 'tiny-bert', input: ['one', 'two'] });
  assert.equal((await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body })).status, 200);

  await t.test('/ is JSON for a program and a page for a browser', async () => {
    assert.equal(((await (await get('/')).json()) as { name: string }).name, 'ortserve');
    const page = await get('/', 'text/html,application/xhtml+xml');
    assert.match(page.headers.get('content-type')!, /text\/html/);
    assert.match(await page.text(), /tiny-bert/);
  });

  await t.test('/health tells of the model, /livez and /readyz say yes', async () => {
    const health = (await (await get('/health')).json()) as Record<string, any>;
    assert.equal(health.status, 'healthy');
    assert.ok(Math.abs(health.timestamp - Date.now() / 1000) < 5);
    assert.equal(health.models[0].state, 'ready');
    assert.deepEqual(Compile(HealthResponse).Errors(health), []);
    assert.ok(Compile(ReadyResponse).Check(await (await get('/readyz')).json()));
    for (const path of ['/livez', '/readyz']) assert.equal((await get(path)).status, 200);
  });

  await t.test('/stats and JSON /metrics count what was done', async () => {
    const stats = (await (await get('/stats')).json()) as Record<string, any>;
    assert.equal(stats.total_embeddings, 2);
    const metrics = (await (await get('/metrics', 'application/json')).json()) as Record<string, any>;
    assert.equal(metrics.total_embeddings, 2);
    assert.ok(metrics.total_requests >= 2 && metrics.uptime_seconds > 0);
    assert.deepEqual(metrics.model_usage, { 'tiny-bert': 2 });
  });

  await t.test('/metrics is Prometheus text, also for what Prometheus itself accepts', async () => {
    const accept = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1';
    const answer = await get('/metrics', accept);
    assert.match(answer.headers.get('content-type')!, /^text\/plain/);
    const text = await answer.text();
    assert.match(text, /^# TYPE ortserve_requests_total counter$/m);
    assert.match(text, /^ortserve_inputs_total\{model="tiny-bert"\} 2$/m);
  });

  await t.test('/openapi.json describes every path, /docs shows it without any other server', async () => {
    const document = (await (await get('/openapi.json')).json()) as { openapi: string; paths: Record<string, object> };
    assert.match(document.openapi, /^3\.1/);
    const judged = await new Validator().validate(document);
    assert.ok(judged.valid, JSON.stringify(judged.errors));
    // What the README says is served is there by its method and path.
    const shape = (path: string): string => path.replaceAll(/\{[^}]*\}/g, '{}');
    const served = Object.entries(document.paths).flatMap(([path, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${shape(path)}`));
    const table = readFileSync(readmeFile, 'utf8').split('## What it serves')[1]!.split('\n\n')[1]!;
    const named = [...table.matchAll(/`((?:GET|POST|PUT|DELETE) \/[^`]*)`/g)].map(([, line]) => shape(line!));
    assert.ok(named.length > 15);
    for (const line of named) assert.ok(served.includes(line), line);
    const page = await (await get('/docs', 'text/html')).text();
    assert.doesNotMatch(page, /(src|href)="https?:/);
    const fromFolder = await get('/docs/', 'text/html');
    assert.deepEqual([fromFolder.status, fromFolder.headers.get('content-type')], [200, 'text/html; charset=utf-8']);
    for (const [, file] of page.matchAll(/(?:src|href)="(docs\/[^"]+)"/g)) assert.equal((await get(`/${file}`)).status, 200);
  });

  await t.test('request ids are taken over or made, and times are told', async () => {
    const named = await fetch(`${server.url}/livez`, { headers: { 'x-request-id': 'abc-1' } });
    assert.equal(named.headers.get('x-request-id'), 'abc-1');
    assert.match((await get('/livez')).headers.get('x-request-id')!, /^[\w.:-]+$/);
    // A text that no cache has.
    const fresh = JSON.stringify({ model: 'tiny-bert', input: 'three' });
    const answer = await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body: fresh });
    assert.match(answer.headers.get('server-timing')!, /queue;dur=[\d.]+, tokenize;dur=[\d.]+, inference;dur=[\d.]+, total;dur=[\d.]+/);
  });
});

test('without metrics there is no /metrics', async (t) => {
  const server = await startServerProcess(t, { MODEL_PATH: tinyBertDirectory, ENABLE_METRICS: 'false' });
  assert.equal((await fetch(`${server.url}/metrics`)).status, 404);
});

test('environment names of the embedding provider work unchanged', async (t) => {
  const server = await startServerProcess(t, {
    EMB_PROVIDER_MODEL_PATH: tinyBertDirectory,
    EMB_PROVIDER_MODEL_NAME: 'all-MiniLM-L12-v2',
    EMB_PROVIDER_MAX_BATCH_SIZE: '2',
    EMB_PROVIDER_MAX_CONTEXT_LENGTH: '16',
    EMB_PROVIDER_DEVICE: 'cpu',
    EMB_PROVIDER_LOG_LEVEL: 'INFO',
  });
  const body = { model: 'all-MiniLM-L12-v2', input: ['a b c d e f g h i j k l m n o p q r s t u v'] };
  const answer = await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body: JSON.stringify(body) });
  const { usage, truncated } = (await answer.json()) as Record<string, any>;
  assert.equal(usage.prompt_tokens, 16);
  assert.deepEqual(truncated, [{ index: 0, tokens_given: 24, tokens_kept: 16 }]);
  const many = { model: 'all-MiniLM-L12-v2', input: ['a', 'b', 'c'] };
  assert.equal((await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body: JSON.stringify(many) })).status, 400);
});
