// The official Python client, unchanged, against the real server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { skipUnlessRuns } from '../support/programs.ts';
import { repositoryDirectory } from '../support/repository.ts';
import { startServerProcess } from '../support/server-process.ts';

const script = join(repositoryDirectory, 'test/server/openai_client.py');

const skip = skipUnlessRuns('python3 with the openai package', 'python3', '-c', 'import openai');

test('the official Python client works unchanged', { skip }, async (t) => {
  const server = await startServerProcess(t);
  const { stdout } = await promisify(execFile)('python3', [script, server.url], { timeout: 60_000 });
  assert.equal(stdout.trim(), 'ok');
});
