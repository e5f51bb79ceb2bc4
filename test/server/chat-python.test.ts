// The official Python client's chats, unchanged, through the cache.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { ChatServer } from '../support/chat-server.ts';
import { skipUnlessRuns } from '../support/programs.ts';
import { repositoryDirectory } from '../support/repository.ts';
import { startServerProcess } from '../support/server-process.ts';

const script = join(repositoryDirectory, 'test/server/openai_chat_client.py');
const skip = skipUnlessRuns('python3 with the openai package', 'python3', '-c', 'import openai');

test('the official Python client chats through the cache unchanged', { skip }, async (t) => {
  const upstream = await ChatServer.start(t);
  const server = await startServerProcess(t, { UPSTREAM_URL: upstream.url });
  const { stdout } = await promisify(execFile)('python3', [script, server.url], { timeout: 60_000 });
  assert.equal(stdout.trim(), 'ok');
  assert.equal(upstream.calls.length, 3);
});
