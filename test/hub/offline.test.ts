// HF_HUB_OFFLINE, and caches that somebody else has written.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pullModel } from '../../src/hub/pull.ts';
import { readManifest } from '../../src/registry/manifest.ts';
import { commitOfTests, gitHash, sha256 } from '../support/hub-server.ts';
import { namesIn, newWorld, repoId, tinyFiles, tinyServed } from './support.ts';
import type { World } from './support.ts';

/** As Python's huggingface_hub leaves a model of which it was asked for `names`. */
function writeAsPython({ folder }: World, names: readonly string[]): void {
  const blobs = path.join(folder, 'blobs');
  mkdirSync(blobs, { recursive: true });
  mkdirSync(path.join(folder, 'refs'));
  writeFileSync(path.join(folder, 'refs/main'), commitOfTests);
  mkdirSync(path.join(folder, `.no_exist/${commitOfTests}`), { recursive: true });
  writeFileSync(path.join(folder, `.no_exist/${commitOfTests}/added_tokens.json`), '');
  mkdirSync(path.join(folder, '../.locks/models--tests--tiny-bert'), { recursive: true });
  for (const name of names) {
    const content = tinyFiles[name]!;
    const etag = content.length < 16_384 ? gitHash(content) : sha256(content);
    writeFileSync(path.join(blobs, etag), content);
    writeFileSync(path.join(folder, `../.locks/models--tests--tiny-bert/${etag}.lock`), '');
    const link = path.join(folder, 'snapshots', commitOfTests, name);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(path.relative(path.dirname(link), path.join(blobs, etag)), link);
  }
}

test('offline, what was pulled is used and nothing is asked', async (t) => {
  const world = await newWorld(t);
  await world.pull();
  world.hub.seen.length = 0;
  assert.deepEqual(await world.pull({ offline: true }), { directory: world.snapshot, commit: commitOfTests });
  const pinned = await pullModel(`${repoId}@${commitOfTests}`, {
    settings: { ...world.settings, offline: true }, precision: 'auto',
  });
  assert.equal(pinned.directory, world.snapshot);
  assert.deepEqual(world.hub.seen, []);
});

test('offline, what is missing is named, and the setting that is in the way', async (t) => {
  const world = await newWorld(t);
  const offline = async (options = {}) => {
    const { message, reason } = await world.refusal({ offline: true }, options);
    assert.equal(reason, 'refused');
    assert.match(message, /^HF_HUB_OFFLINE is set, and the cache \/.*\. Pull it while the hub can be reached\.$/);
    return message;
  };
  assert.match(await offline(), /has no tests\/tiny-bert at main/);
  await world.pull();
  assert.match(await offline({ precision: 'fp16' }), /lacks of tests\/tiny-bert: onnx\/model_O4\.onnx/);
  assert.match(await offline({ precision: 'int8' }), /has too little of tests\/tiny-bert: .*there is .*model\.onnx/);
  rmSync(path.join(world.snapshot, '1_Pooling'), { recursive: true });
  rmSync(path.join(world.snapshot, 'tokenizer.json'));
  assert.match(await offline(), /lacks of tests\/tiny-bert: .*tokenizer\.json, .*1_Pooling\/config\.json/);
  rmSync(world.snapshot, { recursive: true });
  assert.match(await offline(), /lacks of tests\/tiny-bert: .*config\.json/);
  rmSync(path.join(world.folder, 'trees'), { recursive: true });
  assert.match(await offline(), /has nothing of tests\/tiny-bert at c0ffee/);
});

test('a cache that Python wrote is used as it is', async (t) => {
  const world = await newWorld(t);
  writeAsPython(world, Object.keys(tinyFiles));
  const before = namesIn(world.folder);
  const { directory } = await world.pull({ offline: true });
  assert.equal(readManifest(directory, { precision: 'auto' }).name, repoId);
  await world.pull();
  assert.deepEqual(world.hub.seen.map(({ at }) => at), ['api']);
  assert.deepEqual(namesIn(world.folder).filter((name) => !before.includes(name)), [`trees/${commitOfTests}.json`]);
});

test('what Python has not pulled is added beside what it has', async (t) => {
  const world = await newWorld(t);
  writeAsPython(world, ['config.json', 'README.md', 'tokenizer.json']);
  const { message } = await world.refusal({ offline: true });
  assert.match(message, /has too little of tests\/tiny-bert: .* has no ONNX file; it has README\.md, config\.json/);
  await world.pull();
  assert.deepEqual(namesIn(world.snapshot), [...tinyServed, 'README.md'].sort());
  assert.equal(world.hub.downloads('/tokenizer.json').length, 0);
});

test('a commit that Python pulled in part is not taken for whole', async (t) => {
  const world = await newWorld(t);
  writeAsPython(world, tinyServed.filter((name) => name !== '1_Pooling/config.json'));
  await pullModel(`${repoId}@${commitOfTests}`, { settings: world.settings, precision: 'auto' });
  assert.deepEqual(namesIn(world.snapshot), tinyServed);
});

const skip = process.getuid?.() === 0 && 'root writes anywhere';

test('a cache that cannot be written serves what it has', { skip }, async (t) => {
  const world = await newWorld(t);
  await world.pull();
  rmSync(path.join(world.folder, 'refs/main'));
  const folders = [world.folder, ...readdirSync(world.folder).map((name) => path.join(world.folder, name))];
  for (const folder of folders) chmodSync(folder, 0o555);
  try {
    await world.pull();
    assert.match((await world.refusal({}, { precision: 'fp16' })).message, /the model cache cannot be written/);
  } finally {
    for (const folder of folders) chmodSync(folder, 0o755);
  }
});
