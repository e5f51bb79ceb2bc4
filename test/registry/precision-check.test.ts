// Quantised files beside fp32 ones, on real workers.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { openOnnxBackend } from '../../src/backend/onnx.ts';
import type { EmbeddingManifest } from '../../src/backend/manifest.ts';
import { EmbeddingModel } from '../../src/registry/embedding-model.ts';
import { readManifest } from '../../src/registry/manifest.ts';
import { checkIdentity, checkPrecision, exactFileBeside, isPrecise } from '../../src/registry/precision-check.ts';
import { miniLmDirectory, skipUnless } from '../support/fixtures.ts';
import { temporaryFolder, tinyModel, tinyOnnx, type TinyGraph } from '../native-workers/tiny-model.ts';

const folder = temporaryFolder();
const options = {
  workers: 1, intraOpThreads: 1, spinning: false, arena: true, devices: ['cpu'], runTokensMax: 128,
} as const;
const open = (manifest: EmbeddingManifest) => openOnnxBackend(manifest, options, () => {});

async function loaded(t: TestContext, manifest: EmbeddingManifest): Promise<EmbeddingModel<EmbeddingManifest>> {
  const observer = { batchEnded: () => {}, inputsDropped: () => {} };
  const model = new EmbeddingModel(manifest, await open(manifest), 10_000, observer, 'test');
  t.after(() => model.close());
  return model;
}

/** An int8 file, by its name, with the fp32 one beside it. */
function quantized(graph: TinyGraph): EmbeddingManifest {
  const manifest = tinyModel(folder);
  const onnxFile = path.join(folder, 'model_quantized.onnx');
  writeFileSync(onnxFile, tinyOnnx(graph));
  return { ...manifest, onnxFile, precision: 'int8', batchable: false };
}

test('there is something to compare when a less exact file was loaded and the fp32 one is there', () => {
  const manifest = quantized({});
  const exact = path.join(folder, 'model.onnx');
  assert.equal(exactFileBeside(manifest), exact);
  assert.equal(exactFileBeside({ ...manifest, onnxFile: path.join(folder, 'onnx/model_int8.onnx') }), exact);
  assert.equal(exactFileBeside({ ...manifest, precision: 'fp32' }), undefined);
  // The embedded model's only file has weights in int8.
  assert.equal(exactFileBeside({ ...manifest, onnxFile: exact, precision: 'int8-weights' }), undefined);
  assert.equal(checkIdentity(exact), checkIdentity(exact));
  rmSync(exact);
  assert.equal(exactFileBeside(manifest), undefined);
});

test('a file that gives the same vectors is precise, another one is not', async (t) => {
  const exact = path.join(folder, 'model.onnx');
  const same = await checkPrecision(await loaded(t, quantized({})), exact, open);
  assert.ok(isPrecise(same) && same.cosineMin > 0.999_99, JSON.stringify(same));
  const other = await checkPrecision(await loaded(t, quantized({ pooled: true })), exact, open);
  assert.ok(!isPrecise(other) && other.cosineMin <= other.cosineMean, JSON.stringify(other));
  assert.ok(!isPrecise({ cosineMean: NaN, cosineMin: NaN }));
});

test('a model that closes meanwhile ends the check and waits for it', async (t) => {
  const model = await loaded(t, quantized({}));
  let ended = false;
  model.whenMeasured(async () => {
    await assert.rejects(checkPrecision(model, path.join(folder, 'model.onnx'), open), /being unloaded/);
    ended = true;
  });
  await model.close();
  assert.ok(ended);
});

test('the dynamically quantised MiniLM is near its fp32 file', { skip: skipUnless(miniLmDirectory) }, async (t) => {
  const manifest = readManifest(miniLmDirectory, { precision: 'int8' });
  const found = await checkPrecision(await loaded(t, manifest), exactFileBeside(manifest)!, open);
  assert.ok(isPrecise(found) && found.cosineMean < 0.9999, JSON.stringify(found));
});
