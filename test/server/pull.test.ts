// `ortserve pull` as a real process: its exit codes, what scripts read from it, and what a kill leaves behind.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { readManifest } from '../../src/registry/manifest.ts';
import { namesIn, newFolder, repoId, tinyFiles, tinyServed } from '../hub/support.ts';
import { HubServer, commitOfTests } from '../support/hub-server.ts';
import { mainFile, serverEnvironment } from '../support/server-process.ts';

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

const killsMin = 10;

async function pull(
  home: string, environment: Record<string, string>, args: readonly string[], killAfterMs?: number,
): Promise<Ended> {
  const child = spawn(process.execPath, [mainFile, 'pull', ...args], {
    cwd: home, env: serverEnvironment({ HF_HOME: home, ...environment }, home), stdio: ['ignore', 'pipe', 'pipe'],
  });
  const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  return { code, stdout, stderr };
}

async function newHub(t: TestContext): Promise<{ hub: HubServer; home: string; folder: string; snapshot: string }> {
  const hub = await HubServer.start(t, { [repoId]: { files: tinyFiles } });
  const home = newFolder(t);
  const folder = path.join(home, 'hub/models--tests--tiny-bert');
  return { hub, home, folder, snapshot: path.join(folder, 'snapshots', commitOfTests) };
}

test('prints the folder alone, which can be served, and ends with 0', async (t) => {
  const { hub, home, snapshot } = await newHub(t);
  const first = await pull(home, { HF_ENDPOINT: hub.url }, [repoId]);
  assert.deepEqual(first, { code: 0, stdout: `${snapshot}\n`, stderr: '' });
  assert.equal(readManifest(snapshot, { precision: 'auto' }).name, repoId);
  const offline = await pull(home, { HF_HUB_OFFLINE: 'ON' }, [`${repoId}@main`, '--precision', 'auto']);
  assert.deepEqual(offline, first);
  const listed = await pull(home, { HF_ENDPOINT: hub.url, MODELS: `${repoId},${repoId}@${commitOfTests}` }, []);
  assert.deepEqual(listed, { ...first, stdout: `${snapshot}\n${snapshot}\n` });
});

test('ends with 69 when the hub cannot be had, in one line', async (t) => {
  const { hub, home } = await newHub(t);
  hub.fault = () => ({ kind: 'status', status: 503, headers: { 'retry-after': '9999' } });
  const { code, stdout, stderr } = await pull(home, { HF_ENDPOINT: hub.url }, [repoId]);
  assert.equal(code, 69);
  assert.equal(stdout, '');
  assert.match(stderr, /^ortserve: tests\/tiny-bert: 127\.0\.0\.1:\d+ answers 503\. It asks to wait 9999 seconds\.\n$/);
});

test('ends with 78 for a name that is wrong, missing or of nothing, and never shows the token', async (t) => {
  const { hub, home } = await newHub(t);
  const environment = { HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_secret' };
  for (const [args, message] of [
    [[], /^ortserve: pull needs a repository, org\/name/],
    [['tiny-bert'], /^ortserve: "tiny-bert" is not a repository of the hub: it must be org\/name/],
    [['tests/none'], /^ortserve: tests\/none does not exist on 127\.0\.0\.1:\d+, or the token given may not read it/],
    [[repoId, '--precision', 'fp16', '--max-model-size', '30KB'], /MAX_MODEL_SIZE/],
    [[repoId, '--hub-endpoint', 'ftp://hub'], /^ortserve: HF_ENDPOINT must be a URL such as/],
  ] as const) {
    const { code, stdout, stderr } = await pull(home, environment, args);
    assert.deepEqual([code, stdout], [78, ''], stderr);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /hf_secret|\n\s+at /);
  }
  assert.equal((await pull(home, environment, [repoId, 'twice'])).code, 2);
});

test('killed at any moment, it leaves a snapshot that is whole or none, and the next pull ends the work', async (t) => {
  const { hub, home, folder, snapshot } = await newHub(t);
  hub.fault = ({ at }) => at === 'api' ? undefined : { kind: 'slow', bytes: 900, everyMs: 5 };
  const startedMs = performance.now();
  const other = newFolder(t);
  assert.equal((await pull(other, { HF_ENDPOINT: hub.url }, [repoId])).code, 0);
  const wholeMs = performance.now() - startedMs;
  let kills = 0;
  // From before the first request to after the last byte; later pulls have less to do, so the moments wander.
  for (let round = 0; kills < killsMin && round < 3 * killsMin; round += 1) {
    const killAfterMs = wholeMs * (0.3 + 0.7 * ((round * 0.618) % 1));
    const { code } = await pull(home, { HF_ENDPOINT: hub.url }, [repoId], killAfterMs);
    if (code === null) kills += 1;
    if (existsSync(snapshot)) {
      assert.deepEqual(namesIn(snapshot), tinyServed);
      for (const name of tinyServed) assert.deepEqual(readFileSync(path.join(snapshot, name)), tinyFiles[name], name);
    }
    for (const name of existsSync(folder) ? namesIn(path.join(folder, 'blobs')) : []) {
      const blob = readFileSync(path.join(folder, 'blobs', name));
      const whole = Object.values(tinyFiles).some((content) => content.equals(blob));
      assert.ok(whole || name.endsWith('.incomplete'), name);
    }
    if (code !== 0) continue;
    // It was faster than the kill: begin again.
    rmSync(path.join(home, 'hub'), { recursive: true });
  }
  assert.ok(kills >= killsMin, `only ${kills} were killed in time`);
  hub.fault = () => undefined;
  const last = await pull(home, { HF_ENDPOINT: hub.url }, [repoId]);
  assert.deepEqual(last, { code: 0, stdout: `${snapshot}\n`, stderr: '' });
  assert.deepEqual(namesIn(snapshot), tinyServed);
  assert.ok(namesIn(path.join(folder, 'blobs')).every((name) => !name.endsWith('.incomplete')));
});

test('two processes at once make one download', async (t) => {
  const { hub, home, snapshot } = await newHub(t);
  hub.fault = ({ at }) => at === 'cdn' ? { kind: 'slow', bytes: 2000, everyMs: 100 } : undefined;
  const both = await Promise.all([1, 2].map(() => pull(home, { HF_ENDPOINT: hub.url }, [repoId])));
  for (const ended of both) assert.deepEqual(ended, { code: 0, stdout: `${snapshot}\n`, stderr: '' });
  assert.equal(hub.downloads('?signature=s3cret').length, 1);
});
