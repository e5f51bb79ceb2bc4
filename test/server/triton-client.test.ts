// NVIDIA's clients, unchanged, against the real server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { identityFolder } from '../support/identity-models.ts';
import { skipUnlessRuns } from '../support/programs.ts';
import { repositoryDirectory } from '../support/repository.ts';
import { startServerProcess } from '../support/server-process.ts';

const skip = skipUnlessRuns('python3 with tritonclient[http,grpc]', 'python3', '-c', 'import tritonclient.http, tritonclient.grpc');

async function started(t: TestContext) {
  const { directory, remove } = identityFolder();
  t.after(remove);
  const options = { MODEL_PATH: tinyBertDirectory, MODEL_NAME: 'org/tiny-bert', MODEL_DIR: directory, MAX_CACHED_MODELS: '50', GRPC_PORT: '0' };
  const server = await startServerProcess(t, options);
  const { port } = server.lines.find(({ msg }) => msg === 'listening for gRPC') as { port: number };
  return { server, http: `127.0.0.1:${server.port}`, grpc: `127.0.0.1:${port}` };
}

async function run(script: string, ...args: readonly string[]): Promise<string> {
  const file = join(repositoryDirectory, 'test/server', script);
  const { stdout } = await promisify(execFile)('python3', [file, ...args], { timeout: 60_000 });
  return stdout.trim();
}

// Beside each other, since one of them waits.
describe('NVIDIA\'s clients', { skip, concurrency: true }, () => {
  test('the HTTP client works unchanged', async (t) => {
    const { http } = await started(t);
    assert.equal(await run('triton_client_http.py', http, 'org/tiny-bert'), 'ok');
  });

  test('the gRPC client works unchanged', async (t) => {
    const { server, grpc } = await started(t);
    assert.equal(await run('triton_client_grpc.py', grpc, 'org/tiny-bert'), 'ok');
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
  });

  test('both work again after a silence in which the server closes idle connections', async (t) => {
    const { http, grpc } = await started(t);
    assert.match(await run('triton_client_idle.py', http, grpc), /^ok/);
  });
});
