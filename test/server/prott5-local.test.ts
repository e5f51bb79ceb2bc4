// The protein service without Triton: by an encoder in a folder here, or with a word on how to get one.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { repositoryDirectory } from '../support/repository.ts';
import { proteinModels } from '../support/protein-model.ts';

async function post(server: ServerProcess, path: string, body: object) {
  const answer = await fetch(server.url + path, { method: 'POST', body: JSON.stringify(body) });
  return { status: answer.status, body: (await answer.json()) as Record<string, any> };
}

for (const option of ['MODEL_DIR', 'MODEL_PATH'] as const) {
  test(`an encoder of proteins in ${option} embeds them`, async (t) => {
    const directory = proteinModels(t);
    const server = await startServerProcess(t, { [option]: option === 'MODEL_DIR' ? directory : join(directory, 'tiny-protein') });
    const { status, body } = await post(server, '/embeddings/compute', { sequences: ['MKTAL', 'mk uz*'] });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual(Object.keys(body.embeddings), ['MKTAL', 'mk uz*']);
    assert.deepEqual(body.model_info, { model: 'tiny-protein', embedding_dim: '16', precision: 'fp32' });
    // As the model itself takes residues: as words.
    const { body: direct } = await post(server, '/v1/embeddings', { model: 'tiny-protein', input: ['M K T A L', 'M K X X'] });
    assert.deepEqual(Object.values(body.embeddings), direct.data.map((item: { embedding: number[] }) => item.embedding));
    assert.notDeepEqual(body.embeddings['MKTAL'], body.embeddings['mk uz*']);
    // The model's length is 32 tokens, two of them its own marks.
    assert.equal((await post(server, '/embeddings/compute', { sequences: ['A'.repeat(30)] })).status, 200);
    const long = await post(server, '/embeddings/compute', { sequences: ['A'.repeat(31)] });
    assert.deepEqual([long.status, long.body.code], [400, 'INPUT_TOO_LONG']);
    const health = await fetch(`${server.url}/embeddings/health`);
    assert.equal(health.status, 200);
    assert.deepEqual(((await health.json()) as any).components.triton, { status: 'off' });
    const info = (await (await fetch(`${server.url}/embeddings/model/info`)).json()) as any;
    assert.deepEqual([info.backend, info.embedding_dim, info.config], ['onnx', '16', null]);
  });
}

test('gRPC is not loaded where nobody uses it', () => {
  const program = `await import(process.argv[1]);
    const { createRequire } = await import('node:module');
    console.log(Object.keys(createRequire('/').cache).filter((file) => file.includes('@grpc')).length);`;
  const loaded = (file: string) => Number(execFileSync(process.execPath, ['--input-type=module', '-e', program, join(repositoryDirectory, 'dist/src', file)]));
  assert.equal(loaded('server.js'), 0);
  assert.ok(loaded('assembly/triton.js') > 0);
});

test('without any, the service says how to get one', async (t) => {
  const server = await startServerProcess(t);
  const { status, body } = await post(server, '/embeddings/compute', { sequences: ['MKTAL'] });
  assert.equal(status, 503);
  assert.match(body.detail, /TRITON_URL.*MODEL_PATH or MODEL_DIR/);
  assert.equal((await fetch(`${server.url}/embeddings/model/info`)).status, 503);
  assert.equal((await fetch(`${server.url}/embeddings/health`)).status, 503);
  const stats = (await (await fetch(`${server.url}/embeddings/cache/stats`)).json()) as any;
  assert.equal(stats.hits, 0);
  const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: object };
  for (const path of ['compute', 'health', 'cache/stats', 'model/info']) assert.ok(`/embeddings/${path}` in paths, path);
});
