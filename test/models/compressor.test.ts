// The demo compressors: their figures are what their own outputs say, and 1.1 is the better one.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { infer, type InferResult } from '../../src/engine/infer.ts';
import type { TensorModels } from '../../src/registry/tensor-models.ts';
import { skipUnlessRuns } from '../support/programs.ts';
import { repositoryDirectory } from '../support/repository.ts';
import { demoDirectory, scene, sensors, tensorModels } from '../support/tensor-models.ts';
import { decode, features, metrics, versions, type Inputs } from './compressor-by-the-book.ts';

const python = skipUnlessRuns(
  'python3 with the packages of models/requirements.txt',
  'python3',
  '-c',
  'import onnx, numpy',
);
const names = ['1.0', '1.1'] as const;
/** The graph computes in float32. */
const pixelTolerance = 2e-5;
const figureTolerance = 1e-4;

const nothing: Inputs = { image: [], lidar: [], imu: [], audio: [] };
const cases: readonly (readonly [string, Partial<Inputs>])[] = [
  ['an image of whole blocks', { image: scene(32, 48) }],
  ['an image whose sides are no multiples of eight', { image: scene(21, 13, 2) }],
  ['one pixel', { image: [[[0.5, 0.5, 0.5]]] }],
  ['lidar', { lidar: sensors().lidar }],
  ['imu', { imu: sensors().imu }],
  ['an imu at rest', { imu: [0, 0, 0, 0, 0, 0] }],
  ['audio', { audio: sensors().audio }],
  ['everything', { image: scene(24, 24, 3), ...sensors(3) }],
  ['nothing', {}],
];

async function run(models: TensorModels, version: string, fields: Record<string, unknown>): Promise<InferResult> {
  const given = Object.fromEntries(
    Object.entries(fields).filter(([, value]) => !Array.isArray(value) || value.length > 0),
  );
  const request = { fields: { return_reconstruction: true, ...given }, isCancelled: () => false };
  return models.use(models.find(version, 'version'), (model) => infer(model, request));
}

function output(result: InferResult, field: string): { shape: readonly number[]; data: number[] } {
  const { shape, data } = result.outputs.find((each) => each.field === field)!.tensor;
  return { shape, data: Array.from(data as Float32Array) };
}

function assertNear(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(
    Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${what}: ${actual} instead of ${expected}`,
  );
}

describe('the metrics are what the outputs say', () => {
  for (const version of names) {
    test(version, async (t) => {
      const models = tensorModels(t);
      for (const [name, given] of cases) {
        for (const level of [0.15, 0.5, 0.8]) {
          const inputs = { ...nothing, ...given };
          const result = await run(models, version, { ...inputs, compression_level: level, target_quality: 0.6 });
          const decoded = decode(output(result, 'compressed').data, versions[version]);
          const what = `${version}, ${name}, level ${level}`;
          const image = output(result, 'reconstructed_image');
          assert.deepEqual(image.shape, [inputs.image.length, inputs.image[0]?.length ?? 0, 3], what);
          decoded.image.flat(2).forEach((value, i) => assertNear(image.data[i]!, value, pixelTolerance, what));
          const expected = metrics(inputs, decoded);
          assertNear(result.metrics.get('compression_ratio')!, expected.ratio, figureTolerance, `${what}: ratio`);
          assertNear(result.metrics.get('predicted_quality')!, expected.quality, figureTolerance, `${what}: quality`);
          assert.equal(result.metrics.get('adjusted_compression'), decoded.level, what);
          const { slopes, forecasts } = features(decoded);
          for (const [field, values] of [
            ['temporal_out', slopes],
            ['predicted', forecasts],
          ] as const) {
            const { shape, data } = output(result, field);
            assert.deepEqual(shape, [1, 32]);
            values.forEach((value, i) => {
              if (!Number.isNaN(value)) assertNear(data[i]!, value, figureTolerance, `${what}: ${field}[${i}]`);
            });
          }
        }
      }
    });
  }
});

describe('the levels', () => {
  test('the adjusted level is the highest near the wanted one that reaches the quality, else the lowest', async (t) => {
    const models = tensorModels(t);
    const image = scene(64, 64, 5);
    const adjusted = async (target: number): Promise<number> => {
      const { metrics: found } = await run(models, '1.1', { image, compression_level: 0.6, target_quality: target });
      if (target > 0 && target < 1)
        assert.ok(found.get('predicted_quality')! >= target - 0.02, `quality for ${target}`);
      return found.get('adjusted_compression')!;
    };
    const found: number[] = [];
    for (const target of [0, 0.7, 0.75, 0.8, 1]) found.push(await adjusted(target));
    assertNear(found[0]!, 0.65, 1e-6, 'the highest');
    assertNear(found.at(-1)!, 0.2, 1e-6, 'the lowest');
    assert.deepEqual(
      found,
      found.toSorted((a, b) => b - a),
    );
  });

  test('more compression is smaller, and no better', async (t) => {
    const models = tensorModels(t);
    const image = scene(64, 64, 6);
    for (const version of names) {
      const rows: { ratio: number; quality: number }[] = [];
      for (const level of [0.1, 0.4, 0.7, 1]) {
        const { metrics: found } = await run(models, version, { image, compression_level: level, target_quality: 0 });
        rows.push({ ratio: found.get('compression_ratio')!, quality: found.get('predicted_quality')! });
      }
      rows.slice(1).forEach((row, i) => assert.ok(row.ratio > rows[i]!.ratio && row.quality < rows[i]!.quality));
    }
  });
});

test('1.1 is smaller and better at every level', async (t: TestContext) => {
  const models = tensorModels(t);
  for (const seed of [1, 2, 3]) {
    for (const level of [0.1, 0.3, 0.5, 0.7, 0.9]) {
      const fields = { image: scene(96, 128, seed), ...sensors(seed), compression_level: level, target_quality: 0 };
      const [older, newer] = [await run(models, '1.0', fields), await run(models, '1.1', fields)];
      const gain = newer.metrics.get('compression_ratio')! / older.metrics.get('compression_ratio')!;
      const better = newer.metrics.get('predicted_quality')! - older.metrics.get('predicted_quality')!;
      t.diagnostic(`scene ${seed}, level ${level}: ratio x ${gain.toFixed(2)}, quality + ${better.toFixed(3)}`);
      assert.ok(gain > 1.15, `gain ${gain}`);
      assert.ok(better > 0, `quality ${better}`);
    }
  }
});

test('the files are small, and what the script makes', { skip: python }, (t) => {
  const made = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  execFileSync('python3', [join(repositoryDirectory, 'models/compressor.py'), made], { stdio: 'pipe' });
  for (const version of names) {
    for (const file of ['model.onnx', 'manifest.json']) {
      const kept = join(demoDirectory, 'compressor', version, file);
      assert.ok(readFileSync(join(made, version, file)).equals(readFileSync(kept)), `${version}/${file} differs`);
      assert.ok(statSync(kept).size < 300_000);
    }
  }
});
