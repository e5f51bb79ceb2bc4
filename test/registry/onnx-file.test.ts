import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { findOnnxFile, onnxFileNames, readOnnxSummary, thisCpu } from '../../src/registry/onnx-file.ts';
import type { Cpu, OnnxSummary } from '../../src/registry/onnx-file.ts';
import { miniLmDirectory, skipUnless } from '../support/fixtures.ts';
import { graph, initializer, node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'ortserve-onnx-'));
after(() => rmSync(folder, { recursive: true }));

function summaryOf(bytes: Buffer): OnnxSummary | undefined {
  const file = path.join(folder, 'model.onnx');
  writeFileSync(file, bytes);
  return readOnnxSummary(file);
}

const output = tensorInfo('last_hidden_state', 'float32', ['rows', 'tokens', 4]);

describe('readOnnxSummary', () => {
  test('finds the operators and outputs', () => {
    const nodes = [node('Gather', ['a', 'b'], ['c']), node('Add', ['c', 'c'], ['d'])];
    const summary = summaryOf(onnxModel({ nodes, outputs: [output] }));
    assert.deepEqual([...summary!.operators], ['Gather', 'Add']);
    assert.deepEqual(summary!.outputs, ['last_hidden_state']);
  });

  test('finds operators of subgraphs, but not their outputs', () => {
    const inner = [tensorInfo('inner', 'float32', [1])];
    const branch = graph({ nodes: [node('DynamicQuantizeLinear', ['a'], ['b', 'c', 'd'])], outputs: inner });
    const nodes = [node('If', ['condition'], ['x'], { then_branch: branch })];
    const summary = summaryOf(onnxModel({ nodes, outputs: [output] }));
    assert.deepEqual([...summary!.operators], ['If', 'DynamicQuantizeLinear']);
    assert.deepEqual(summary!.outputs, ['last_hidden_state']);
  });

  test('passes over weights of any size and what they contain', () => {
    const misleading = Buffer.alloc(300_000, 'DynamicQuantizeLinear');
    const summary = summaryOf(onnxModel({
      nodes: [node('Gather', ['table', 'b'], ['c'])],
      initializers: [initializer('table', 'float32', [75_000], misleading)],
      outputs: [output],
    }));
    assert.deepEqual([...summary!.operators], ['Gather']);
    assert.deepEqual(summary!.outputs, ['last_hidden_state']);
  });

  test('knows a Git LFS pointer, an empty file, text and zeros for what they are not', () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:6fd5d72fe4589f189f8ebc00\nsize 90405214\n';
    for (const content of [pointer, '', '{}', '<html>', '\0'.repeat(100)]) {
      assert.equal(summaryOf(Buffer.from(content)), undefined, JSON.stringify(content));
    }
  });

  test('knows a model that was cut off anywhere', () => {
    const whole = onnxModel({ nodes: [node('Gather', ['a', 'b'], ['c'])], outputs: [output] });
    for (let length = 0; length < whole.length; length++) assert.equal(summaryOf(whole.subarray(0, length)), undefined);
  });

  test('reads little of a large file', { skip: skipUnless(miniLmDirectory) }, () => {
    const startedMs = performance.now();
    assert.deepEqual(readOnnxSummary(path.join(miniLmDirectory, 'onnx/model.onnx'))!.outputs, ['last_hidden_state']);
    // A reading of all 90 MB takes several times that even from memory; a busy machine must not fail the test.
    assert.ok(performance.now() - startedMs < 1000);
  });
});

describe('onnxFileNames', () => {
  const cpu = (architecture: string, ...features: string[]): Cpu => ({ architecture, features: new Set(features) });

  test('takes the plain name unless another precision is wanted', () => {
    assert.deepEqual(onnxFileNames('auto', cpu('x64')), ['model.onnx']);
    assert.deepEqual(onnxFileNames('fp32', cpu('x64')), ['model.onnx']);
    assert.deepEqual(onnxFileNames('fp16', cpu('x64')), ['model_fp16.onnx', 'model_O4.onnx']);
  });

  test('takes the int8 file made for the CPU', () => {
    assert.equal(onnxFileNames('int8', cpu('x64', 'avx2', 'avx512_vnni'))[0], 'model_qint8_avx512_vnni.onnx');
    assert.equal(onnxFileNames('int8', cpu('arm64'))[0], 'model_qint8_arm64.onnx');
    assert.equal(onnxFileNames('int8', cpu('x64', 'avx2'))[0], 'model_quint8_avx2.onnx');
  });

  test('never takes a file that saturates without VNNI', () => {
    const names = onnxFileNames('int8', cpu('x64', 'avx2', 'avx512f'));
    assert.ok(!names.some((name) => name.includes('avx512')));
  });

  test('knows this machine', () => {
    assert.equal(thisCpu().architecture, process.arch);
  });
});

test('findOnnxFile prefers the better name to the nearer folder, then the nearer folder', () => {
  const inner = path.join(folder, 'onnx');
  mkdirSync(inner, { recursive: true });
  for (const file of ['b.onnx', 'onnx/a.onnx', 'onnx/b.onnx']) writeFileSync(path.join(folder, file), '');
  assert.equal(findOnnxFile([folder, inner], ['a.onnx', 'b.onnx']), path.join(inner, 'a.onnx'));
  assert.equal(findOnnxFile([folder, inner], ['b.onnx']), path.join(folder, 'b.onnx'));
  assert.equal(findOnnxFile([folder, path.join(folder, 'absent')], ['c.onnx']), undefined);
});
