// The protocol and the cache when nothing goes wrong, and the sentences when the answer is no.
import assert from 'node:assert/strict';
import {
  existsSync, mkdirSync, readFileSync, readlinkSync, realpathSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parseTree } from '../../src/hub/listing.ts';
import { pullModel } from '../../src/hub/pull.ts';
import { readManifest } from '../../src/registry/manifest.ts';
import { commitOfTests, gitHash, sha256 } from '../support/hub-server.ts';
import { namesIn, newFolder, newWorld, repoId, tinyFiles, tinyServed } from './support.ts';

describe('a pull', () => {
  test('brings what serving needs, and no other weights', async (t) => {
    const { pull, snapshot, hub } = await newWorld(t);
    assert.deepEqual(await pull(), { directory: snapshot, commit: commitOfTests });
    assert.deepEqual(namesIn(snapshot), tinyServed);
    for (const name of tinyServed) assert.deepEqual(readFileSync(path.join(snapshot, name)), tinyFiles[name], name);
    assert.equal(hub.downloads('model_O4.onnx').length + hub.downloads('.safetensors').length, 0);
    const manifest = readManifest(snapshot, { precision: 'auto' });
    assert.equal(manifest.name, repoId);
    assert.equal(realpathSync(manifest.onnxFile), realpathSync(path.join(snapshot, 'onnx/model.onnx')));
  });

  test('lays the cache out as huggingface_hub does', async (t) => {
    const { pull, folder, snapshot } = await newWorld(t);
    await pull();
    const onnx = tinyFiles['onnx/model.onnx']!;
    assert.equal(readlinkSync(path.join(snapshot, 'onnx/model.onnx')), `../../../blobs/${sha256(onnx)}`);
    const config = tinyFiles['config.json']!;
    assert.equal(readlinkSync(path.join(snapshot, 'config.json')), `../../blobs/${gitHash(config)}`);
    assert.equal(readFileSync(path.join(folder, 'refs/main'), 'utf8'), commitOfTests);
    const blobs = tinyServed.map((name) => readlinkSync(path.join(snapshot, name)).split('/').at(-1));
    assert.deepEqual(namesIn(path.join(folder, 'blobs')), [...new Set(blobs)].sort());
    const tree = parseTree(readFileSync(path.join(folder, `trees/${commitOfTests}.json`), 'utf8'), commitOfTests);
    assert.deepEqual(tree!.files.map((file) => file.path).sort(), Object.keys(tinyFiles).sort());
    // Neither locks nor unfinished work stay.
    assert.deepEqual(namesIn(path.join(folder, '../.locks')), []);
    assert.deepEqual(namesIn(path.join(folder, 'staging')), []);
  });

  test('a second time asks where the branch stands and downloads nothing; of a commit it asks nothing', async (t) => {
    const { pull, hub, settings, snapshot } = await newWorld(t);
    await pull();
    hub.seen.length = 0;
    await pull();
    assert.deepEqual(hub.seen.map(({ at }) => at), ['api']);
    hub.seen.length = 0;
    const pinned = await pullModel(`${repoId}@${commitOfTests}`, { settings, precision: 'auto' });
    assert.equal(pinned.directory, snapshot);
    assert.deepEqual(hub.seen, []);
  });

  test('follows a branch that moved, and downloads only what changed', async (t) => {
    const { pull, hub, folder } = await newWorld(t);
    await pull();
    const commit = 'beef'.repeat(10);
    hub.put(repoId, { commit, files: { ...tinyFiles, 'config.json': Buffer.from('{"max_position_embeddings":64}') } });
    hub.seen.length = 0;
    assert.equal((await pull()).commit, commit);
    assert.deepEqual(hub.seen.map((seen) => seen.path.split('/').at(-1)), ['main?blobs=true', 'config.json']);
    assert.equal(readFileSync(path.join(folder, 'refs/main'), 'utf8'), commit);
  });

  test('takes another precision into the same snapshot', async (t) => {
    const { pull, snapshot } = await newWorld(t);
    await pull();
    await pull({}, { precision: 'fp16' });
    assert.deepEqual(namesIn(snapshot), [...tinyServed, 'onnx/model_O4.onnx'].sort());
  });

  test('takes a revision with slashes', async (t) => {
    const { hub, settings, folder } = await newWorld(t);
    await pullModel(`${repoId}@refs/pr/1`, { settings, precision: 'auto' });
    assert.equal(hub.seen[0]!.path, `/api/models/${repoId}/revision/refs/pr/1?blobs=true`);
    assert.equal(readFileSync(path.join(folder, 'refs/refs/pr/1'), 'utf8'), commitOfTests);
  });

  test('asks each file for its hash where a mirror lists names only', async (t) => {
    const { pull, hub, snapshot, folder } = await newWorld(t, { files: tinyFiles, namesOnly: true });
    await pull();
    assert.deepEqual(namesIn(snapshot), tinyServed);
    assert.equal(hub.seen.filter(({ method }) => method === 'HEAD').length, tinyServed.length);
    assert.deepEqual(namesIn(folder).filter((name) => name.startsWith('trees')), []);
    await pull();
    assert.equal(hub.seen.filter(({ method }) => method === 'HEAD').length, tinyServed.length);
  });

  test('reports progress up to the end', async (t) => {
    const { pull } = await newWorld(t);
    const reports: (readonly [number, number])[] = [];
    await pull({}, { onProgress: (doneBytes, totalBytes) => reports.push([doneBytes, totalBytes]) });
    const total = tinyServed.reduce((bytes, name) => bytes + tinyFiles[name]!.length, 0);
    const [done, announced] = reports.at(-1)!;
    assert.equal(done, announced);
    assert.ok(announced >= total - tinyFiles['modules.json']!.length);
  });
});

describe('the token', () => {
  test('opens private repositories and does not go where the hub redirects', async (t) => {
    const { pull, refusal, hub } = await newWorld(t, { files: tinyFiles, token: 'hf_secret' });
    const { message } = await refusal();
    assert.match(message, /^tests\/tiny-bert does not exist on 127\.0\.0\.1:\d+, or needs a token: set HF_TOKEN\.$/);
    const wrong = await refusal({ token: 'hf_wrong' });
    assert.match(wrong.message, /or the token given may not read it\.$/);
    assert.doesNotMatch(wrong.message, /hf_wrong/);
    assert.equal(wrong.reason, 'refused');
    hub.seen.length = 0;
    await pull({ token: 'hf_secret' });
    const tokens = (place: string) => (
      [...new Set(hub.seen.filter(({ at }) => at === place).map(({ authorization }) => authorization))]);
    assert.deepEqual([tokens('api'), tokens('file')], [['Bearer hf_secret'], ['Bearer hf_secret']]);
    assert.deepEqual(tokens('cdn'), [undefined]);
  });
});

describe('the answer no', () => {
  test('is told apart: no repository, no revision, gated', async (t) => {
    const { settings, refusal, hub } = await newWorld(t, { files: tinyFiles, token: 'right', gated: true });
    const ask = (repo: string) => pullModel(repo, { settings, precision: 'auto' });
    const reason = 'refused';
    await assert.rejects(ask('tests/none'), { name: 'HubError', reason, message: /^tests\/none does not exist/ });
    await assert.rejects(ask(`${repoId}@v9`), { reason, message: /^tests\/tiny-bert has no revision v9\.$/ });
    const { message } = await refusal();
    assert.match(message, /is gated: accept its terms at http:\S+tiny-bert, and set HF_TOKEN to a token of/);
    assert.match((await refusal({ token: 'other' })).message, /is gated: .*; the one given is not let in\.$/);
    hub.fault = () => ({ kind: 'status', status: 403 });
    assert.match((await refusal()).message, /is gated/);
  });

  test('names the files there are when none is ONNX, and the command that makes one', async (t) => {
    const { 'onnx/model.onnx': _, 'onnx/model_O4.onnx': __, ...files } = tinyFiles;
    const { refusal, hub } = await newWorld(t, { files });
    const { message, reason } = await refusal();
    assert.match(message, /has no ONNX file; it has .*model\.safetensors.*optimum-cli export onnx --model tests\/tiny/);
    assert.equal(reason, 'refused');
    assert.deepEqual(hub.downloads('tokenizer.json'), []);
  });

  test('names the ONNX files there are when none has the precision', async (t) => {
    const { refusal } = await newWorld(t);
    const { message } = await refusal({}, { precision: 'int8' });
    assert.match(message, /no ONNX file for precision int8 .*there is .*onnx\/model\.onnx/);
  });

  test('comes before the download when the model is larger than allowed', async (t) => {
    const { refusal, hub } = await newWorld(t);
    const { message } = await refusal({ modelBytesMax: 20_000 });
    assert.match(message, /has 27\.\d kB, more than the 20\.0 kB that MAX_MODEL_SIZE/);
    assert.deepEqual(hub.downloads('model.onnx'), []);
  });

  test('is given for a listing that is none', async (t) => {
    const { refusal, hub } = await newWorld(t);
    for (const listing of ['hello', null, {}, { sha: '../../etc', siblings: [] }, { sha: commitOfTests }]) {
      hub.listing = () => listing;
      assert.match((await refusal()).message, /does not answer as a Hugging Face hub does/);
    }
  });
});

describe('a hostile hub', () => {
  const names = ['../outside', '/etc/passwd', 'a/../../b', 'a\\..\\b', 'a\0b', 'a//b', './a', 'C:/a', ''];
  for (const rfilename of names) {
    test(`cannot name a file ${JSON.stringify(rfilename)}`, async (t) => {
      const { refusal, hub, folder } = await newWorld(t);
      hub.listing = (listing) => ({ ...listing, siblings: [...(listing['siblings'] as object[]), { rfilename }] });
      assert.match((await refusal()).message, /unsafe name/);
      assert.ok(!existsSync(folder));
    });
  }

  test('cannot name a blob or a module outside of the cache', async (t) => {
    const { refusal, hub, folder } = await newWorld(t);
    hub.listing = (listing) => ({
      ...listing,
      siblings: (listing['siblings'] as object[]).map((each) => ({ ...each, blobId: '../../../evil', lfs: undefined })),
    });
    // Such an etag is none, so the file itself is asked; its own hash is used.
    hub.fault = ({ method }) => method === 'HEAD'
      ? { kind: 'status', status: 200, headers: { etag: '"../../../evil"' } } : undefined;
    assert.match((await refusal()).message, /no usable etag/);
    assert.ok(!existsSync(folder));
    hub.fault = () => undefined;
    hub.listing = (listing) => listing;
    const modules = Buffer.from(JSON.stringify([{ path: '' }, { path: '../../x' }]));
    hub.put(repoId, { files: { ...tinyFiles, 'modules.json': modules } });
    assert.match((await refusal()).message, /modules with paths inside the repository/);
  });

  test('cannot redirect to files, other protocols or in circles', async (t) => {
    const { refusal, hub } = await newWorld(t);
    const places = ['file:///etc/passwd', 'ftp://localhost/x', 'http://a:b@localhost/', 'http://[', '/api/models/x'];
    for (const location of places) {
      hub.fault = () => ({ kind: 'status', status: 302, headers: { location } });
      assert.match((await refusal()).message, /which is not followed|redirects more than 5 times/, location);
    }
  });
});

describe('links in the cache', () => {
  test('that leave it are refused, for files and for the folder of blobs', async (t) => {
    const { pull, refusal, snapshot, folder } = await newWorld(t);
    await pull();
    const outside = newFolder(t);
    writeFileSync(path.join(outside, 'config.json'), tinyFiles['config.json']!);
    rmSync(path.join(snapshot, 'config.json'));
    symlinkSync(path.join(outside, 'config.json'), path.join(snapshot, 'config.json'));
    assert.match((await refusal()).message, /config\.json is a link that leaves the cache/);
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    symlinkSync(outside, path.join(folder, 'blobs'));
    assert.match((await refusal()).message, /blobs is a link that leaves the cache/);
    assert.deepEqual(namesIn(outside), ['config.json']);
  });

  test('may lead anywhere when it is the cache itself', async (t) => {
    const { pull, settings } = await newWorld(t);
    const real = newFolder(t);
    mkdirSync(path.dirname(settings.cacheDirectory), { recursive: true });
    symlinkSync(real, settings.cacheDirectory);
    await pull();
    assert.ok(namesIn(real).length > tinyServed.length);
  });
});
