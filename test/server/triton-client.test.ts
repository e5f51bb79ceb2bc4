// NVIDIA's clients, unchanged, against the real server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { identityFolder } from '../support/identity-models.ts';
import { skipUnlessRuns } from '../support/programs.ts';
import { repositoryDirectory } from '../support/repository.ts';
import { startServerProcess } from '../support/server-process.ts';

const skip = skipUnlessRuns('python3 with tritonclient[http,grpc]', 'python3', '-c', 'import tritonclient.http, tritonclient.grpc');

test('the HTTP client works unchanged', { skip }, async (t) => {
  const { directory, remove } = identityFolder();
  t.after(remove);
  const options = { MODEL_PATH: tinyBertDirectory, MODEL_NAME: 'org/tiny-bert', MODEL_DIR: directory, MAX_CACHED_MODELS: '50' };
  const server = await startServerProcess(t, options);
  const script = join(repositoryDirectory, 'test/server/triton_client_http.py');
  const { stdout } = await promisify(execFile)('python3', [script, `127.0.0.1:${server.port}`, 'org/tiny-bert'], { timeout: 60_000 });
  assert.equal(stdout.trim(), 'ok');
});

test('the gRPC client works unchanged', { skip }, async (t) => {
  const { directory, remove } = identityFolder();
  t.after(remove);
  const options = { MODEL_PATH: tinyBertDirectory, MODEL_NAME: 'org/tiny-bert', MODEL_DIR: directory, MAX_CACHED_MODELS: '50', GRPC_PORT: '0' };
  const server = await startServerProcess(t, options);
  const { port } = server.lines.find(({ msg }) => msg === 'listening for gRPC') as { port: number };
  const script = join(repositoryDirectory, 'test/server/triton_client_grpc.py');
  const { stdout } = await promisify(execFile)('python3', [script, `127.0.0.1:${port}`, 'org/tiny-bert'], { timeout: 60_000 });
  assert.equal(stdout.trim(), 'ok');
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
});
