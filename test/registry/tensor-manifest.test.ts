import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { TensorDescription } from '../../src/backend/tensor-protocol.ts';
import { ManifestError } from '../../src/registry/json-file.ts';
import type { TensorFiles } from '../../src/registry/tensor-folder.ts';
import { readTensorManifest, tensorTable, type TensorTable } from '../../src/registry/tensor-manifest.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'ortserve-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const files: TensorFiles = {
  name: 'camera',
  version: '1.0',
  onnxFile: '/nowhere/model.onnx',
  manifestFile: path.join(folder, 'manifest.json'),
  bytes: 1,
  modifiedMs: 0,
};
const graph: TensorDescription = {
  ok: true,
  worker: 0,
  provider: 'cpu',
  fallback: undefined,
  loadMs: 1,
  inputs: [
    { name: 'x', datatype: 'float32', shape: ['n', 3] },
    { name: 'level', datatype: 'int64', shape: [] },
  ],
  outputs: [
    { name: 'y', datatype: 'float32', shape: ['n'] },
    { name: 'score', datatype: 'float32', shape: [] },
  ],
};

function table(manifest: unknown): TensorTable {
  writeFileSync(files.manifestFile!, typeof manifest === 'string' ? manifest : JSON.stringify(manifest));
  return tensorTable(files, readTensorManifest(files), graph);
}

const x = { name: 'x' };
const level = { name: 'level' };
const y = { name: 'y' };

describe('a manifest', () => {
  test('is joined with the graph', () => {
    const { inputs, outputs } = table({
      inputs: [
        { ...x, field: 'points', shape: [4, 3], range: [0, 1] },
        { ...level, default: 3 },
      ],
      outputs: [
        { name: 'score', metric: { better: 'higher' } },
        { ...y, field: 'result', when: 'return_result' },
      ],
    });
    assert.deepEqual(inputs[0], {
      name: 'x',
      field: 'points',
      datatype: 'float32',
      shape: [4, 3],
      default: undefined,
      range: [0, 1],
    });
    assert.deepEqual(inputs[1]!.default, { datatype: 'int64', shape: [], data: BigInt64Array.of(3n) });
    assert.deepEqual(
      outputs.map(({ field, when, metric }) => [field, when, metric?.better]),
      [
        ['score', undefined, 'higher'],
        ['result', 'return_result', undefined],
      ],
    );
  });

  test('leaves no size open that the graph fixes', () => {
    assert.deepEqual(table({ inputs: [{ ...x, shape: [-1, -1] }, level] }).inputs[0]!.shape, [-1, 3]);
  });

  test('may be empty or absent: the graph tells all', () => {
    const { inputs, outputs } = table({});
    assert.deepEqual(
      inputs.map(({ field, datatype, shape }) => [field, datatype, shape]),
      [
        ['x', 'float32', ['n', 3]],
        ['level', 'int64', undefined],
      ],
    );
    assert.deepEqual(
      outputs.map(({ field }) => field),
      ['y', 'score'],
    );
    assert.deepEqual(
      tensorTable(files, readTensorManifest({ ...files, manifestFile: undefined }), graph).inputs,
      inputs,
    );
  });

  const faults: readonly [what: string, manifest: unknown, names: RegExp][] = [
    ['no JSON', '{', /camera\/1\.0\/manifest\.json is not valid JSON/],
    ['no object', [], /must hold a JSON object/],
    ['an unknown key', { input: [] }, /input is not known/],
    ['an unknown key inside', { inputs: [{ ...x, optional: true }] }, /inputs\[0\]\.optional is not known/],
    ['a missing name', { inputs: [x, {}] }, /inputs\[1\]\.name is missing/],
    ['a bad count', { instances: 0 }, /instances must be/],
    ['a bad type', { inputs: [{ ...x, datatype: 'FP32' }] }, /inputs\[0\]\.datatype/],
    [
      'another type than the graph',
      { inputs: [{ ...x, datatype: 'int8' }, level] },
      /inputs\[0\]\.datatype is int8, and the graph's is float32/,
    ],
    [
      'another shape than the graph',
      { inputs: [{ ...x, shape: [-1, 4] }, level] },
      /inputs\[0\]\.shape is \[any, 4\], and the graph's is \[n, 3\]/,
    ],
    ['another rank than the graph', { inputs: [{ ...x, shape: [3] }, level] }, /inputs\[0\]\.shape/],
    ['an input that the graph lacks', { inputs: [x, level, { name: 'z' }] }, /inputs\[2\]\.name is 'z'/],
    ['an input that is left out', { inputs: [x] }, /inputs lack 'level'/],
    ['an output that the graph lacks', { outputs: [{ name: 'z' }] }, /outputs\[0\]\.name is 'z'/],
    ['no outputs', { outputs: [] }, /outputs must/],
    ['a default of another type', { inputs: [x, { ...level, default: 0.5 }] }, /inputs\[1\]\.default makes no tensor/],
    [
      'a default of another size',
      { inputs: [x, { ...level, default: { shape: [2], data: [1] } }] },
      /inputs\[1\]\.default makes no tensor/,
    ],
    ['a range that ends before it begins', { inputs: [{ ...x, range: [1, 0] }, level] }, /inputs\[0\]\.range/],
    ['one input twice', { inputs: [x, level, { ...x, field: 'z' }] }, /inputs\[2\]\.name is 'x' a second time/],
    ['two fields of one name', { inputs: [x, { ...level, field: 'x' }] }, /inputs\[1\] has the field 'x'/],
    ['a field that every answer has', { outputs: [{ ...y, field: 'timestamp' }] }, /the field 'timestamp'/],
  ];
  for (const [what, manifest, names] of faults) {
    test(`with ${what} is refused by name, without a path`, () => {
      assert.throws(
        () => table(manifest),
        (error: Error) => {
          assert.ok(error instanceof ManifestError);
          assert.match(error.message, names);
          assert.ok(error.message.startsWith('camera/1.0/manifest.json'), error.message);
          assert.ok(!error.message.includes(folder));
          return true;
        },
      );
    });
  }
});
