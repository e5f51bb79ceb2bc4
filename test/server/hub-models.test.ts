// Models by repository name: pulled at the start, or by the first request that names an allowed one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/compile';
import { HealthResponse } from '../../src/surface/system/schema.ts';
import { newFolder, repoId, tinyFiles } from '../hub/support.ts';
import { HubServer } from '../support/hub-server.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';

const second = 'tests/second';

async function embed(server: ServerProcess, model: string) {
  const answer = await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body: JSON.stringify({ model, input: 'a' }) });
  return { status: answer.status, body: (await answer.json()) as Record<string, any> };
}

test('models of the hub are loaded at the start, and allowed ones by their first request', async (t) => {
  const hub = await HubServer.start(t, { [repoId]: { files: tinyFiles }, [second]: { files: tinyFiles } });
  const server = await startServerProcess(t, {
    MODELS: repoId,
    ALLOWED_MODELS: `${repoId},${second}`,
    HF_ENDPOINT: hub.url,
    HF_HOME: newFolder(t),
  });
  assert.equal((await embed(server, repoId)).status, 200);
  assert.equal((await embed(server, 'tiny-bert')).status, 200);
  const answers = await Promise.all([embed(server, second), embed(server, second), embed(server, second)]);
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
  assert.equal((await embed(server, 'tests/third')).status, 403);
  assert.equal(server.lines.filter(({ msg, model }) => msg === 'model ready' && model === second).length, 1);
});

test('a revision says which files are pulled, not what a model is called', { timeout: 60_000 }, async (t) => {
  const hub = await HubServer.start(t, { [repoId]: { files: tinyFiles }, [second]: { files: tinyFiles } });
  const server = await startServerProcess(t, {
    MODELS: `${repoId}@main`,
    ALLOWED_MODELS: `${repoId}@main,${second}@main`,
    PINNED_MODELS: `${repoId}@main`,
    MAX_CACHED_MODELS: '1',
    HF_ENDPOINT: hub.url,
    HF_HOME: newFolder(t),
  });
  for (const model of [repoId, second]) assert.equal((await embed(server, model)).status, 200);
  const health = (await (await fetch(`${server.url}/health`)).json()) as { models: { state: string }[] };
  assert.deepEqual(health.models.map(({ state }) => state).slice(0, 1), ['ready']);
});

test('a model that is pinned by its short name stays', async (t) => {
  const hub = await HubServer.start(t, { [repoId]: { files: tinyFiles }, [second]: { files: tinyFiles } });
  const server = await startServerProcess(t, {
    MODELS: `${repoId},${second}`,
    PINNED_MODELS: repoId.split('/')[1]!,
    MAX_CACHED_MODELS: '1',
    HF_ENDPOINT: hub.url,
    HF_HOME: newFolder(t),
  });
  for (const model of [repoId, second]) assert.equal((await embed(server, model)).status, 200);
  assert.ok(!server.lines.some(({ msg, model }) => msg === 'model leaves' && model === repoId));
});

test('a model that is named twice is loaded once, and the server ends by itself', async (t) => {
  const hub = await HubServer.start(t, { [repoId]: { files: tinyFiles } });
  const options = { MODELS: `${repoId},${repoId}`, SHUTDOWN_TIMEOUT: '5', HF_ENDPOINT: hub.url, HF_HOME: newFolder(t) };
  const server = await startServerProcess(t, options);
  assert.equal(server.lines.filter(({ msg }) => msg === 'model ready').length, 1);
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});

test('a model that the hub does not have is a 503 that names no place, and the server goes on', async (t) => {
  const hub = await HubServer.start(t, { [repoId]: { files: tinyFiles } });
  const server = await startServerProcess(t, {
    MODELS: repoId,
    ALLOWED_MODELS: `${repoId},tests/missing`,
    HF_ENDPOINT: hub.url,
    HF_HOME: newFolder(t),
  });
  const { status, body } = await embed(server, 'tests/missing');
  assert.equal(status, 503);
  assert.ok(!JSON.stringify(body).includes('127.0.0.1'));
  assert.equal((await embed(server, repoId)).status, 200);
});

test('with room for one model, the other leaves and comes back', async (t) => {
  const hub = await HubServer.start(t, { [repoId]: { files: tinyFiles }, [second]: { files: tinyFiles } });
  const server = await startServerProcess(t, {
    MODELS: `${repoId},${second}`,
    MAX_CACHED_MODELS: '1',
    HF_ENDPOINT: hub.url,
    HF_HOME: newFolder(t),
  });
  for (let round = 0; round < 5; round++) {
    for (const model of [repoId, second]) assert.equal((await embed(server, model)).status, 200);
  }
  const health = (await (await fetch(`${server.url}/health`)).json()) as { models: { state: string }[] };
  assert.equal(health.models.filter(({ state }) => state === 'ready').length, 1);
  assert.ok(server.lines.filter(({ msg }) => msg === 'model leaves').length >= 8);
});

test('a model that cannot be had at the start leaves the others serving, and is tried again on request', async (t) => {
  const hub = await HubServer.start(t, { [repoId]: { files: tinyFiles } });
  const server = await startServerProcess(t, { MODELS: `${second},${repoId}`, HF_ENDPOINT: hub.url, HF_HOME: newFolder(t) });
  const health = async () => (await (await fetch(`${server.url}/health`)).json()) as Record<string, any>;
  assert.equal((await embed(server, repoId)).status, 200);
  const told = await health();
  assert.deepEqual(Compile(HealthResponse).Errors(told), []);
  const { status, failed, models } = told;
  assert.deepEqual([status, failed], ['degraded', [second]]);
  assert.match(models[0].error, /could not be loaded/);
  assert.ok(server.lines.some(({ level, model, msg }) => level === 'error' && model === second && /could not be loaded/.test(String(msg))));

  // The same answer for a while, so that a broken model costs nothing; then, or when told to, it is tried again.
  const refused = await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body: JSON.stringify({ model: second, input: 'a' }) });
  assert.equal(refused.status, 503);
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  hub.put(second, { files: tinyFiles });
  assert.equal((await fetch(`${server.url}/models/${second}/load`, { method: 'POST' })).status, 200);
  assert.equal((await embed(server, second)).status, 200);
  assert.equal((await health()).status, 'healthy');
  assert.equal(await server.metric(`ortserve_model_loads_total{model="${second}",version="",outcome="failure"}`), 1);
  assert.equal(await server.metric(`ortserve_model_loads_total{model="${second}",version="",outcome="success"}`), 1);
  assert.equal(await server.metric('ortserve_models_loaded'), 2);
});

test('the server is ready when no model of the start still loads', async (t) => {
  const hub = await HubServer.start(t, { [repoId]: { files: tinyFiles }, [second]: { files: tinyFiles } });
  let busy = true;
  hub.fault = ({ path }) => {
    return busy && path.includes(second) ? { kind: 'status', status: 503, headers: { 'retry-after': '1' } } : undefined;
  };
  const options = { MODELS: `${repoId},${second}`, HF_ENDPOINT: hub.url, HF_HOME: newFolder(t) };
  const server = await startServerProcess(t, options, { waitReady: false });
  assert.equal((await embed(server, repoId)).status, 200);
  const ready = await fetch(`${server.url}/readyz`);
  assert.deepEqual([ready.status, await ready.json()], [503, { status: 'loading', waiting: [second] }]);
  busy = false;
  while ((await fetch(`${server.url}/readyz`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await embed(server, second)).status, 200);
});

test('when no model can be had the server ends with 78 and says why', async (t) => {
  const hub = await HubServer.start(t, {});
  const options = { MODELS: `${repoId},${second}`, HF_ENDPOINT: hub.url, HF_HOME: newFolder(t) };
  const server = await startServerProcess(t, options, { waitReady: false });
  const code = await new Promise((resolve) => server.process.once('exit', resolve));
  assert.equal(code, 78);
  assert.equal(server.lines.filter(({ msg }) => msg === 'the model could not be loaded').length, 2);
});
