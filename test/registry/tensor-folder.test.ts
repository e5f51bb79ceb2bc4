import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { scanTensorFolder } from '../../src/registry/tensor-folder.ts';

test('finds versions in the three layouts and passes over what is none', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const write = (file: string, text = 'x'): void => {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text);
  };
  for (const file of [
    'camera/1.10/model.onnx',
    'camera/1.9/model.onnx',
    'camera/1.9/manifest.json',
    'camera/notes.txt',
    'camera/2.0/other.onnx',
    'alone/model.onnx',
    '3.1.onnx',
    '.hidden.onnx',
    '.git/1/model.onnx',
    'readme.md',
    'with space.onnx',
    'texts/tokenizer.json',
    'texts/onnx/model.onnx',
  ])
    write(file);
  mkdirSync(path.join(folder, 'camera/3.0/model.onnx'), { recursive: true });
  symlinkSync(path.join(folder, 'alone'), path.join(folder, 'linked'));
  symlinkSync(path.join(folder, 'gone'), path.join(folder, 'broken'));
  symlinkSync(path.join(folder, 'itself'), path.join(folder, 'itself'));
  const found = scanTensorFolder(folder);
  assert.deepEqual(
    found.map(({ name, version, manifestFile }) => [name, version, manifestFile !== undefined]),
    [
      ['3.1', '3.1', false],
      ['alone', 'alone', false],
      ['camera', '1.9', true],
      ['camera', '1.10', false],
      ['linked', 'linked', false],
    ],
  );
  assert.equal(found[0]!.bytes, 1);
  assert.deepEqual(scanTensorFolder(path.join(folder, 'absent')), []);
});
