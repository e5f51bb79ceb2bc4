import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { ServerError } from '../../src/errors.ts';
import { uploadStagingAgeMsMax } from '../../src/limits.ts';
import { removeLeftovers, Staging } from '../../src/registry/staging.ts';

function root(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-staging-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

const hasCode = (code: string) => (error: unknown) => error instanceof ServerError && error.code === code;

test('what is received is hashed, bounded and published whole', async (t) => {
  const directory = root(t);
  const staging = await Staging.create(directory);
  const received = await staging.receive('model.onnx', chunks('ab', 'c'), 3);
  assert.deepEqual(received, { bytes: 3, sha256: createHash('sha256').update('abc').digest('hex') });
  await staging.publish(['name', '1.0']);
  await staging.remove();
  assert.deepEqual(readdirSync(directory), ['name']);
  assert.equal(readFileSync(path.join(directory, 'name/1.0/model.onnx'), 'utf8'), 'abc');
});

test('what is too large, or breaks off, leaves nothing', async (t) => {
  const directory = root(t);
  const staging = await Staging.create(directory);
  await assert.rejects(staging.receive('model.onnx', chunks('abcd'), 3), hasCode('REQUEST_TOO_LARGE'));
  await assert.rejects(staging.receive('other', (async function* () { throw new ServerError('CANCELLED'); })(), 3), hasCode('CANCELLED'));
  await staging.remove();
  assert.deepEqual(readdirSync(directory), []);
});

test('nothing that is there is replaced, and no link is followed', async (t) => {
  const directory = root(t);
  const outside = root(t);
  mkdirSync(path.join(directory, 'taken'));
  writeFileSync(path.join(directory, 'taken/model.onnx'), 'old');
  writeFileSync(path.join(directory, 'file'), 'old');
  symlinkSync(outside, path.join(directory, 'link'));
  const staging = await Staging.create(directory);
  await staging.receive('model.onnx', chunks('new'), 10);
  for (const folders of [['taken'], ['file'], ['link'], ['link', '1.0']]) {
    await assert.rejects(staging.publish(folders), hasCode('MODEL_EXISTS'), folders.join('/'));
  }
  assert.equal(readFileSync(path.join(directory, 'taken/model.onnx'), 'utf8'), 'old');
  assert.deepEqual(readdirSync(outside), []);
});

test('a staging folder that is a link is refused', async (t) => {
  const directory = root(t);
  symlinkSync(root(t), path.join(directory, '.uploads'));
  await assert.rejects(Staging.create(directory), hasCode('MODEL_EXISTS'));
});

test('leftovers are those of processes that are gone, and old ones of other machines', async (t) => {
  const directory = root(t);
  const mine = hostname().replaceAll(/[^\w-]/g, '-').slice(0, 64);
  const gone = spawnSync(process.execPath, ['-e', '']).pid;
  const uploads = path.join(directory, '.uploads');
  const names = { gone: `${mine}.${gone}.a`, self: `${mine}.${process.pid}.b`, running: `${mine}.${process.ppid}.c`, old: 'other.1.d', fresh: 'other.1.e' };
  for (const name of Object.values(names)) mkdirSync(path.join(uploads, name), { recursive: true });
  const long = new Date(Date.now() - uploadStagingAgeMsMax - 1000);
  utimesSync(path.join(uploads, names.old), long, long);
  assert.equal(await removeLeftovers(directory), 3);
  assert.deepEqual(readdirSync(uploads).sort(), [names.running, names.fresh].sort());
});

test('a folder without leftovers stays as it is, missing too', async (t) => {
  const directory = path.join(root(t), 'none');
  assert.equal(await removeLeftovers(directory), 0);
  assert.equal(existsSync(directory), false);
});
