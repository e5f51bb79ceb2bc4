import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { modelIdentity } from '../../src/registry/identity.ts';
import { readManifest } from '../../src/registry/manifest.ts';
import { tinyBertDirectory, tinyDenseDirectory } from '../support/fixtures.ts';

const identityOf = (directory: string, wants = {}) => modelIdentity(readManifest(directory, { precision: 'auto', ...wants }));

test('copies of a folder have one identity; other contents, pooling or length another', async (t) => {
  const parent = mkdtempSync(path.join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  const copy = path.join(parent, 'copy');
  cpSync(tinyDenseDirectory, copy, { recursive: true });
  const original = await identityOf(tinyDenseDirectory);
  assert.equal(await identityOf(copy, { name: 'another/name' }), original);

  const others = new Set([original, await identityOf(tinyBertDirectory)]);
  others.add(await identityOf(tinyDenseDirectory, { pooling: 'cls' }));
  others.add(await identityOf(tinyDenseDirectory, { contextTokensMax: 8 }));
  const manifest = readManifest(copy, { precision: 'auto' });
  const dense = manifest.modules.flatMap((module) => (module.kind === 'dense' ? [module.weightsFile] : []));
  for (const file of [manifest.tokenizerFile, manifest.onnxFile, ...dense]) {
    appendFileSync(file, ' ');
    others.add(await modelIdentity(manifest));
  }
  appendFileSync(`${manifest.onnxFile}_data`, 'weights beside the graph');
  others.add(await modelIdentity(manifest));
  assert.equal(others.size, 7 + dense.length);
});
