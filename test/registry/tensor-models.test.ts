// The registry of tensor models: names, loads, unloads under traffic.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fields } from '../../src/engine/infer-inputs.ts';
import { infer, type InferResult } from '../../src/engine/infer.ts';
import { ServerError } from '../../src/errors.ts';
import type { TensorFiles } from '../../src/registry/tensor-folder.ts';
import { openTensorModel, type TensorModel } from '../../src/registry/tensor-model.ts';
import type { TensorModels } from '../../src/registry/tensor-models.ts';
import { cpuOptions, demoDirectory, quiet, tensorModels } from '../support/tensor-models.ts';

function folder(t: TestContext, ...versions: string[]): string {
  const made = mkdtempSync(path.join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  for (const version of versions)
    cpSync(path.join(demoDirectory, 'compressor/1.0'), path.join(made, version), { recursive: true });
  return made;
}

const code = (wanted: string) => (error: unknown) => error instanceof ServerError && error.code === wanted;
const found = (models: TensorModels, wanted: string): string => {
  const { name, version } = models.find(wanted, 'version').files;
  return `${name}:${version}`;
};

describe('find', () => {
  test('takes a version first, then a name, then both', (t) => {
    const models = tensorModels(t, folder(t, 'a/1.9', 'a/1.10', 'b/2.0', '2.0x/1.9b', 'c/a'));
    assert.equal(found(models, '1.9'), 'a:1.9');
    assert.equal(found(models, 'b'), 'b:2.0');
    assert.equal(found(models, 'a'), 'c:a');
    assert.equal(found(models, 'a:1.10'), 'a:1.10');
    assert.equal(found(models, 'a/1.10'), 'a:1.10');
    assert.equal(found(models, '2.0x'), '2.0x:1.9b');
  });

  test('a name means its highest version', (t) => {
    assert.equal(found(tensorModels(t, folder(t, 'a/1.9', 'a/1.10', 'a/1.2')), 'a'), 'a:1.10');
  });

  test('refuses what is nowhere, and a version that two have', (t) => {
    const models = tensorModels(t, folder(t, 'a/1.0', 'b/1.0'));
    for (const wanted of ['', '9', '__proto__', 'constructor', '../a', 'a:9', 'a/', '.', 'x'.repeat(5000)]) {
      assert.throws(() => models.find(wanted, 'version'), code('MODEL_NOT_FOUND'), wanted);
    }
    assert.throws(() => models.find('1.0', 'version'), /Several models.*a:1\.0, b:1\.0/);
  });

  test('sees what comes and goes', (t) => {
    const directory = folder(t, 'a/1.0');
    const models = tensorModels(t, directory);
    assert.throws(() => models.find('1.1', 'version'), code('MODEL_NOT_FOUND'));
    cpSync(path.join(directory, 'a/1.0'), path.join(directory, 'a/1.1'), { recursive: true });
    assert.equal(found(models, '1.1'), 'a:1.1');
    rmSync(path.join(directory, 'a/1.0'), { recursive: true });
    assert.deepEqual(
      models.list().map(({ files }) => files.version),
      ['1.1'],
    );
    assert.throws(() => models.find('1.0', 'version'), code('MODEL_NOT_FOUND'));
  });
});

describe('what the folder holds is looked at', () => {
  test('before a model that is not loaded is taken for the one that is meant', async (t) => {
    const directory = folder(t, 'a/1.0', 'a/1.1');
    const models = tensorModels(t, directory);
    rmSync(path.join(directory, 'a/1.1'), { recursive: true });
    assert.deepEqual(models.versionsOf('a').map(({ files }) => files.version), ['1.0']);
    cpSync(path.join(directory, 'a/1.0'), path.join(directory, 'a/1.2'), { recursive: true });
    assert.equal(found(models, 'a'), 'a:1.2');
    rmSync(path.join(directory, 'a/1.2'), { recursive: true });
    assert.equal(found(models, 'a'), 'a:1.0');
    rmSync(path.join(directory, 'a/1.0'), { recursive: true });
    assert.throws(() => models.find('a:1.0', 'version'), code('MODEL_NOT_FOUND'));
  });

  test('before it is loaded, which takes a manifest that came meanwhile', async (t) => {
    const directory = folder(t);
    mkdirSync(path.join(directory, 'a/1.0'), { recursive: true });
    cpSync(path.join(demoDirectory, 'compressor/1.0/model.onnx'), path.join(directory, 'a/1.0/model.onnx'));
    const models = tensorModels(t, directory);
    writeFileSync(path.join(directory, 'a/1.0/manifest.json'), '{"description": "with a manifest"}');
    await models.use(models.find('a', 'version'), async ({ manifest }) => assert.equal(manifest.description, 'with a manifest'));
  });

  test('when a version is asked for that the name did not have', (t) => {
    const directory = folder(t, 'a/1.0');
    const models = tensorModels(t, directory);
    cpSync(path.join(directory, 'a/1.0'), path.join(directory, 'a/1.1'), { recursive: true });
    assert.deepEqual(models.versionsOf('a', '1.1').map(({ files }) => files.version), ['1.0', '1.1']);
  });

  test('but not for each request to a model that is loaded', async (t) => {
    const directory = folder(t, 'a/1.0');
    const models = tensorModels(t, directory);
    await models.load('a', 'version');
    rmSync(directory, { recursive: true });
    models.find('a', 'version');
    models.versionsOf('a');
    assert.equal(models.known[0]!.isOnDisk, true);
  });
});

describe('load', () => {
  test('is shared by all who ask, and by requests', async (t) => {
    let opened = 0;
    const open = (files: TensorFiles): Promise<TensorModel> => {
      opened += 1;
      return openTensorModel(files, cpuOptions, () => {});
    };
    const models = tensorModels(t, demoDirectory, { open });
    const entry = models.find('1.0', 'version');
    assert.equal(entry.state, 'absent');
    const all = [
      models.load('1.0', 'version'),
      models.load('1.0', 'version'),
      models.use(entry, () => Promise.resolve(entry)),
    ];
    assert.equal(entry.state, 'loading');
    await Promise.all(all);
    assert.deepEqual([opened, entry.state, entry.loads], [1, 'ready', 1]);
    assert.deepEqual(await models.unload('1.0', 'version'), { entry, unloaded: true });
    assert.deepEqual([entry.state, (await models.unload('1.0', 'version')).unloaded], ['absent', false]);
    await models.use(entry, () => Promise.resolve());
    assert.deepEqual([opened, entry.loads], [2, 2]);
  });

  test('tells why it failed, and succeeds once the fault is mended', async (t) => {
    const directory = folder(t, 'a/1.0');
    const failures: unknown[] = [];
    const models = tensorModels(t, directory, {
      observer: { ...quiet, failed: (_files, error) => void failures.push(error) },
    });
    const manifest = path.join(directory, 'a/1.0/manifest.json');
    writeFileSync(manifest, '{"instances": "two"}');
    const told = (error: ServerError): boolean =>
      error.code === 'MODEL_NOT_READY' && /a\/1\.0\/manifest\.json: instances must/.test(error.message);
    await assert.rejects(models.load('1.0', 'version'), told);
    const entry = models.find('1.0', 'version');
    assert.equal(entry.state, 'failed');
    // A request does not open the broken file anew.
    await assert.rejects(
      models.use(entry, () => Promise.resolve()),
      told,
    );
    assert.equal(failures.length, 1);
    writeFileSync(manifest, '{}');
    assert.equal((await models.load('1.0', 'version')).state, 'ready');
    // As some editors write it.
    writeFileSync(manifest, '\ufeff{"instances": 2}');
    assert.equal((await models.reload('1.0', 'version')).model?.manifest.instances, 2);
    writeFileSync(path.join(directory, 'broken.onnx'), 'no model');
    await assert.rejects(models.load('broken', 'version'), (error: ServerError) => !error.message.includes(directory));
  });
});

test('a bare graph runs by what it tells, and needs all its inputs', async (t) => {
  const directory = folder(t);
  cpSync(path.join(demoDirectory, 'compressor/1.1/model.onnx'), path.join(directory, '7.0.onnx'));
  const models = tensorModels(t, directory);
  const run = (fields: Fields): Promise<InferResult> => {
    return models.use(models.find('7.0', 'version'), (model) => infer(model, { fields, isCancelled: () => false }));
  };
  const nothing = { image: { shape: [0, 0, 3], data: [] }, lidar: [], imu: [], audio: { shape: [0, 0], data: [] } };
  const { outputs } = await run({ ...nothing, lidar: [1, 2, 3], compression_level: 0.5, target_quality: 0.5 });
  assert.deepEqual(outputs.map(({ field }) => field).slice(3), [
    'reconstructed_image',
    'compression_ratio',
    'predicted_quality',
    'adjusted_compression',
  ]);
  await assert.rejects(run({ ...nothing, compression_level: 0.5 }), /'target_quality' is missing/);
  await assert.rejects(
    run({ ...nothing, image: [[[1]]], compression_level: 0.5, target_quality: 0 }),
    /\[height, width, 3\]/,
  );
});

test('unload waits for leases; what comes meanwhile waits and loads again', async (t) => {
  const models = tensorModels(t);
  const entry = models.find('1.0', 'version');
  let release = (): void => {};
  const held = models.use(
    entry,
    (model) => new Promise<string>((resolve) => (release = () => resolve(model.files.version))),
  );
  while (entry.state !== 'ready') await sleep(5);
  await sleep(5);
  let isUnloaded = false;
  const unloading = models.unload('1.0', 'version').then(() => (isUnloaded = true));
  await sleep(20);
  assert.equal(isUnloaded, false);
  assert.equal(entry.state, 'draining');
  const next = models.use(entry, (model) => Promise.resolve(model.files.version));
  release();
  assert.deepEqual(await Promise.all([held, next]), ['1.0', '1.0']);
  await unloading;
  assert.equal(entry.loads, 2);
});

test('load and unload under traffic give no wrong answer and no error', async (t) => {
  const models = tensorModels(t);
  const ask = async (version: string, value: number): Promise<void> => {
    const fields = {
      image: [[[value, value, value]]],
      compression_level: 0.1,
      target_quality: 0,
      return_reconstruction: true,
    };
    const result = await models.use(models.find(version, 'version'), async (model) => {
      assert.equal(model.files.version, version);
      return infer(model, { fields, isCancelled: () => false });
    });
    const image = result.outputs.find(({ field }) => field === 'reconstructed_image')!.tensor;
    assert.deepEqual(image.shape, [1, 1, 3]);
    for (const pixel of image.data as Float32Array) assert.ok(Math.abs(pixel - value) < 0.01, `${pixel} for ${value}`);
  };
  let isOver = false;
  let answered = 0;
  const client = async (i: number): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      await ask(n % 2 === 0 ? '1.0' : '1.1', ((i * 31 + n * 7) % 100) / 100);
      answered += 1;
    }
  };
  const clients = Array.from({ length: 8 }, (_, i) => client(i));
  for (let round = 0; round < 12; round++) {
    await sleep(20);
    await models.unload(round % 3 === 0 ? '1.0' : '1.1', 'version');
    if (round % 2 === 0) void models.load('1.1', 'version');
  }
  isOver = true;
  await Promise.all(clients);
  assert.ok(answered > 20, `${answered} answers`);
  const loads = models.list().reduce((sum, entry) => sum + entry.loads, 0);
  assert.ok(loads > 2, `${loads} loads`);
});

test('close lets what runs finish and refuses the rest', async (t) => {
  const models = tensorModels(t);
  const entry = models.find('1.1', 'version');
  const running = models.use(entry, (model) => infer(model, { fields: {}, isCancelled: () => false }));
  await models.load('1.0', 'version');
  const closing = models.close();
  assert.equal((await running).metrics.get('compression_ratio'), 1);
  await closing;
  await assert.rejects(
    models.use(entry, () => Promise.resolve()),
    code('MODEL_NOT_READY'),
  );
  await assert.rejects(models.load('1.0', 'version'), code('MODEL_NOT_READY'));
  assert.deepEqual(
    models.list().map(({ state }) => state),
    ['absent', 'absent'],
  );
});

test('a folder of nothing and a folder that is not there have no models', (t) => {
  const directory = folder(t);
  assert.deepEqual(tensorModels(t, directory).list(), []);
  mkdirSync(path.join(directory, 'empty'));
  assert.deepEqual(tensorModels(t, path.join(directory, 'absent')).list(), []);
});
