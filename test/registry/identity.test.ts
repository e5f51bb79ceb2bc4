import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { modelIdentity } from '../../src/registry/identity.ts';
import { readManifest } from '../../src/registry/manifest.ts';
import { tinyBertDirectory, tinyDenseDirectory } from '../support/fixtures.ts';
import { externalInitializer, initializer, node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';

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
  assert.equal(others.size, 6 + dense.length);
});

test('weights count wherever the graph says that they lie in its folder', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(tinyBertDirectory, directory, { recursive: true });
  const manifest = readManifest(directory, { precision: 'auto' });
  const folder = path.dirname(manifest.onnxFile);
  // As torch writes models above 2 GB: a file for each tensor, called after it.
  const constant = node('Constant', [], ['c'], { value: { tensor: externalInitializer('c', [1], 'tensors/constant') } });
  writeFileSync(manifest.onnxFile, onnxModel({
    nodes: [constant, node('Gather', ['table', 'input_ids'], ['last_hidden_state'])],
    initializers: [externalInitializer('table', [2, 4], 'encoder.table'), initializer('inside', 'float32', [1], new Float32Array(1))],
    inputs: [tensorInfo('input_ids', 'int64', ['rows', 'tokens'])],
    outputs: [tensorInfo('last_hidden_state', 'float32', ['rows', 'tokens', 4])],
  }));
  mkdirSync(path.join(folder, 'tensors'));
  const files = ['encoder.table', 'tensors/constant'].map((name) => path.join(folder, name));
  for (const file of files) writeFileSync(file, Buffer.alloc(32));
  const identities = new Set([await modelIdentity(manifest)]);
  for (const file of files) {
    writeFileSync(file, Buffer.alloc(32, 1));
    identities.add(await modelIdentity(manifest));
  }
  assert.equal(identities.size, 1 + files.length);
  assert.ok(identities.has(await modelIdentity(manifest)));
});

test('no graph makes other files of the machine be read', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(tinyBertDirectory, directory, { recursive: true });
  const manifest = readManifest(directory, { precision: 'auto' });
  // Reading the one would never end, and the other is not there.
  for (const location of ['/dev/zero', '../../../nowhere']) {
    writeFileSync(manifest.onnxFile, onnxModel({
      nodes: [node('Identity', ['table'], ['y'])],
      initializers: [externalInitializer('table', [2, 4], location)],
      outputs: [tensorInfo('y', 'float32', [2, 4])],
    }));
    assert.match(await modelIdentity(manifest), /^[\w-]{43}$/);
  }
});
