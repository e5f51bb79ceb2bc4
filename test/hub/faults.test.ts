// What networks, servers and disks do to a download, and what must come of it: the whole file or none.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { HubError, asDiskError } from '../../src/hub/hub-error.ts';
import { sha256 } from '../support/hub-server.ts';
import type { Fault } from '../support/hub-server.ts';
import { namesIn, newWorld, tinyFiles, tinyServed } from './support.ts';
import type { World } from './support.ts';

const onnx = tinyFiles['onnx/model.onnx']!;
const onnxBlob = (folder: string): string => path.join(folder, 'blobs', sha256(onnx));
const partOf = (folder: string): string => `${onnxBlob(folder)}.ortserve.incomplete`;

/** One fault after the other on the content network, then none. */
function faultsOnce(hub: World['hub'], ...faults: Fault[]): void {
  hub.fault = ({ at }) => at === 'cdn' ? faults.shift() : undefined;
}

function assertWhole({ snapshot }: World): void {
  for (const name of tinyServed) assert.deepEqual(readFileSync(path.join(snapshot, name)), tinyFiles[name], name);
}

describe('a download that breaks off', () => {
  test('is resumed where it ended', async (t) => {
    const world = await newWorld(t);
    faultsOnce(world.hub, { kind: 'cut', bytes: 5000 }, { kind: 'cut', bytes: 7000 });
    await world.pull();
    assertWhole(world);
    const ranges = world.hub.downloads('?signature=s3cret').map(({ range }) => range);
    assert.equal(ranges.length, 3);
    assert.equal(ranges[0], undefined);
    for (const range of ranges.slice(1)) assert.match(range!, /^bytes=[1-9]\d*-$/);
  });

  test('is resumed by the next pull when tries run out, without what was there', async (t) => {
    const world = await newWorld(t);
    world.hub.fault = ({ at }) => at === 'cdn' ? { kind: 'cut', bytes: 1000 } : undefined;
    const { message, reason } = await world.refusal();
    assert.match(message, /^onnx\/model\.onnx of tests\/tiny-bert: the download from localhost:\d+ failed: .*3 tries/);
    assert.doesNotMatch(message, /s3cret/);
    assert.equal(reason, 'unavailable');
    assert.ok(!existsSync(world.snapshot) && !existsSync(onnxBlob(world.folder)));
    world.hub.fault = () => undefined;
    world.hub.seen.length = 0;
    await world.pull();
    assertWhole(world);
    const [resumed, ...others] = world.hub.downloads('?signature=s3cret');
    assert.match(resumed!.range!, /^bytes=[1-9]\d+-$/);
    assert.deepEqual(others, []);
    assert.ok(!existsSync(partOf(world.folder)));
  });

  test('starts over where the network ignores ranges or answers another', async (t) => {
    const world = await newWorld(t);
    faultsOnce(world.hub, { kind: 'cut', bytes: 5000 }, { kind: 'whole' });
    await world.pull();
    assertWhole(world);
  });
});

describe('a part from before', () => {
  const leave = (world: World, content: Buffer): void => {
    mkdirSync(path.dirname(partOf(world.folder)), { recursive: true });
    writeFileSync(partOf(world.folder), content);
  };

  test('that is wrong costs one more download, not the file', async (t) => {
    const world = await newWorld(t);
    leave(world, Buffer.alloc(9000, 7));
    await world.pull();
    assertWhole(world);
    assert.deepEqual(world.hub.downloads('?signature=s3cret').map(({ range }) => range), ['bytes=9000-', undefined]);
  });

  test('that is whole is only checked; one that is too long is thrown away', async (t) => {
    const world = await newWorld(t);
    leave(world, onnx);
    await world.pull();
    assertWhole(world);
    assert.deepEqual(world.hub.downloads('?signature=s3cret'), []);
    rmSync(world.folder, { recursive: true });
    leave(world, Buffer.concat([onnx, onnx]));
    await world.pull();
    assertWhole(world);
  });
});

describe('bytes that are not those of the hash', () => {
  test('are thrown away and fetched once more', async (t) => {
    const world = await newWorld(t);
    faultsOnce(world.hub, { kind: 'corrupt' });
    await world.pull();
    assertWhole(world);
  });

  test('twice are an error, and nothing of them stays', async (t) => {
    const world = await newWorld(t);
    world.hub.fault = ({ at }) => at === 'cdn' ? { kind: 'corrupt' } : undefined;
    const { message, reason } = await world.refusal();
    assert.match(message, /^onnx\/model\.onnx of tests\/tiny-bert came corrupt twice, and was deleted: its sha256 is/);
    assert.equal(reason, 'unavailable');
    assert.ok(!existsSync(world.snapshot) && !existsSync(onnxBlob(world.folder)) && !existsSync(partOf(world.folder)));
  });

  test('are noticed in small files too', async (t) => {
    const world = await newWorld(t);
    world.hub.fault = ({ path: where }) => where.endsWith('/config.json') ? { kind: 'corrupt' } : undefined;
    const { message } = await world.refusal();
    assert.match(message, /config\.json of tests\/tiny-bert came corrupt twice.*its git hash is/);
  });

  test('and more bytes than announced are refused', async (t) => {
    const world = await newWorld(t);
    world.hub.listing = (listing) => ({
      ...listing, siblings: (listing['siblings'] as object[]).map((each) => ({ ...each, size: 10, lfs: undefined })),
    });
    assert.match((await world.refusal()).message, /is longer than the 10 bytes it should have/);
  });

  test('a blob that lost its end later is fetched anew', async (t) => {
    const world = await newWorld(t);
    await world.pull();
    truncateSync(onnxBlob(world.folder), 100);
    await world.pull();
    assertWhole(world);
  });
});

describe('a server that', () => {
  test('stands still is left after the timeout, and the file resumed', async (t) => {
    const world = await newWorld(t);
    faultsOnce(world.hub, { kind: 'stall', bytes: 4000 });
    await world.pull({ downloadTimeoutMs: 100 });
    assertWhole(world);
    world.hub.put('tests/tiny-bert', { files: tinyFiles, commit: 'ab'.repeat(20) });
    world.hub.fault = ({ at }) => at === 'api' ? { kind: 'stall', bytes: 10 } : undefined;
    rmSync(world.folder, { recursive: true });
    assert.match((await world.refusal({ requestTimeoutMs: 50 })).message, /nothing came for 0\.05 s \(3 tries\)/);
  });

  test('is slow but alive is waited for', async (t) => {
    const world = await newWorld(t);
    faultsOnce(world.hub, { kind: 'slow', bytes: 2500, everyMs: 60 });
    await world.pull({ downloadTimeoutMs: 400 });
    assertWhole(world);
    assert.equal(world.hub.downloads('?signature=s3cret').length, 1);
  });

  test('says 429 or 503 is asked again, not before Retry-After', async (t) => {
    const world = await newWorld(t);
    const busy = [
      { kind: 'status', status: 429, headers: { 'retry-after': '1' } }, { kind: 'status', status: 503 },
    ] as const;
    let asked = 0;
    world.hub.fault = ({ at }) => at === 'api' ? busy[asked++] : undefined;
    const startedMs = performance.now();
    await world.pull();
    assert.ok(performance.now() - startedMs >= 990);
    assert.equal(asked, 3);
    assertWhole(world);
  });

  test('wants too long a wait is not waited for', async (t) => {
    const world = await newWorld(t);
    world.hub.fault = () => ({ kind: 'status', status: 429, headers: { 'retry-after': '86400' } });
    assert.match((await world.refusal()).message, /answers 429\. It asks to wait 86400 seconds\.$/);
    assert.equal(world.hub.seen.length, 1);
  });

  test('has an address that ran out gives a new one', async (t) => {
    const world = await newWorld(t);
    faultsOnce(world.hub, { kind: 'status', status: 403 });
    await world.pull();
    assertWhole(world);
  });

  test('vanishes is an error that names it; with a whole cache it is a warning', async (t) => {
    const world = await newWorld(t);
    world.hub.fault = () => ({ kind: 'vanish' });
    const { message, reason } = await world.refusal();
    assert.match(message, /^tests\/tiny-bert: 127\.0\.0\.1:\d+ cannot be reached: \w+ \(3 tries\)\.$/);
    assert.equal(reason, 'unavailable');
    world.hub.fault = () => undefined;
    await world.pull();
    await world.hub.stop();
    const warnings: string[] = [];
    const { directory } = await world.pull({}, { onWarning: (sentence) => warnings.push(sentence) });
    assert.equal(directory, world.snapshot);
    assert.match(warnings.join(), /cannot be reached: ECONNREFUSED\. tests\/tiny-bert is served from the cache, as of/);
  });
});

test('a new commit that cannot be had is a warning while the old one is whole', async (t) => {
  const world = await newWorld(t);
  await world.pull();
  const files = { ...tinyFiles, 'config.json': Buffer.from('{}') };
  world.hub.put('tests/tiny-bert', { commit: 'beef'.repeat(10), files });
  world.hub.fault = ({ at }) => at === 'file' ? { kind: 'status', status: 500 } : undefined;
  const warnings: string[] = [];
  const { directory } = await world.pull({}, { onWarning: (sentence) => warnings.push(sentence) });
  assert.equal(directory, world.snapshot);
  assert.match(warnings.join(), /config\.json of tests\/tiny-bert: 127\.0\.0\.1:\d+ answers 500 .*as of c0ff/);
  assert.deepEqual(namesIn(path.join(world.folder, 'snapshots')).length, tinyServed.length);
});

test('two pulls at once make one download', async (t) => {
  const world = await newWorld(t);
  world.hub.fault = ({ at }) => at === 'cdn' ? { kind: 'slow', bytes: 5000, everyMs: 50 } : undefined;
  await Promise.all([world.pull(), world.pull(), world.pull()]);
  assertWhole(world);
  assert.equal(world.hub.downloads('?signature=s3cret').length, 1);
  assert.equal(world.hub.downloads('/tokenizer.json').length, 1);
});

test('a pull can be called off; its locks and its timers go with it', async (t) => {
  const world = await newWorld(t);
  world.hub.fault = ({ at }) => at === 'cdn' ? { kind: 'stall', bytes: 1000 } : undefined;
  const pulling = world.pull({ downloadTimeoutMs: 60_000 }, { signal: AbortSignal.timeout(200) });
  await assert.rejects(pulling, { name: 'TimeoutError' });
  assert.deepEqual(namesIn(path.join(world.folder, '../.locks')), []);
  world.hub.fault = () => undefined;
  await world.pull();
  assertWhole(world);
});

test('the disk: its errors are sentences, and too little room is noticed before the download', async (t) => {
  const full = asDiskError(Object.assign(new Error('x'), { code: 'ENOSPC' }), 'org/name') as HubError;
  assert.equal(full.message, 'org/name: the disk of the model cache is full.');
  assert.equal(full.reason, 'unavailable');
  const bug = new Error('a bug');
  assert.equal(asDiskError(bug, 'org/name'), bug);
  const world = await newWorld(t);
  const huge = 9 * 10 ** 15;
  world.hub.listing = (listing) => ({
    ...listing, siblings: (listing['siblings'] as { rfilename: string; lfs?: object }[]).map((each) => (
      each.rfilename === 'onnx/model.onnx' ? { ...each, lfs: { ...each.lfs, size: huge } } : each)),
  });
  const { message } = await world.refusal({ modelBytesMax: Number.MAX_SAFE_INTEGER });
  assert.match(message, /needs 9000\.0 TB, but the disk of the model cache .* has .* left/);
  assert.deepEqual(world.hub.downloads('?signature=s3cret'), []);
});

test('a cache that is no folder is named', async (t) => {
  const world = await newWorld(t);
  writeFileSync(world.settings.cacheDirectory, 'a file');
  assert.match((await world.refusal()).message, /the model cache cannot be (used|written) \(.*\): E[A-Z]+/);
});
