import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { modelIdentity } from '../../src/registry/identity.ts';
import { readManifest } from '../../src/registry/manifest.ts';
import { tinyBertDirectory, tinyDenseDirectory } from '../support/fixtures.ts';
import { externalInitializer, node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';
import { modelFolder } from './model-folder.ts';

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

test('weights outside the graph are part of it, whatever their file is called', async () => {
  const initializers = ['weights.bin', 'model.onnx_data'].map((file, i) => externalInitializer(`table_${i}`, [2, 4], file));
  const nodes = [node('Gather', ['table_0', 'input_ids'], ['last_hidden_state'])];
  const outputs = [tensorInfo('last_hidden_state', 'float32', ['rows', 'tokens', 4])];
  const directory = modelFolder({ 'onnx/model.onnx': onnxModel({ nodes, initializers, outputs }) });
  await assert.rejects(identityOf(directory));
  const write = (file: string, content: string) => writeFileSync(path.join(directory, 'onnx', file), content);
  write('weights.bin', 'first');
  write('model.onnx_data', 'first');
  const identities = [await identityOf(directory)];
  write('weights.bin', 'second');
  identities.push(await identityOf(directory));
  write('model.onnx_data', 'second');
  identities.push(await identityOf(directory));
  assert.equal(new Set(identities).size, 3);
});
