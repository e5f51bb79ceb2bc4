import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { onnxRefusal } from '../../native-workers/onnx-refusal.ts';
import { doubling } from '../support/hostile-models.ts';
import { externalInitializer, graph, initializer, node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';
import { demoDirectory } from '../support/tensor-models.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'ortserve-refusal-'));
after(() => rmSync(folder, { recursive: true }));

const y = tensorInfo('y', 'float32', [1]);

function refusalOf(bytes: Buffer): string | undefined {
  const file = path.join(folder, 'model.onnx');
  writeFileSync(file, bytes);
  return onnxRefusal(file);
}

test('a good model is not refused', () => {
  assert.equal(refusalOf(doubling), undefined);
  assert.equal(onnxRefusal(path.join(demoDirectory, 'compressor/1.0/model.onnx')), undefined);
});

test('weights that are inputs too, as old exporters write them, are not two of one name', () => {
  const weight = initializer('w', 'float32', [1], new Float32Array(1));
  const inputs = [tensorInfo('x', 'float32', [1]), tensorInfo('w', 'float32', [1])];
  assert.equal(refusalOf(onnxModel({ nodes: [node('Add', ['x', 'w'], ['y'])], inputs, outputs: [y], initializers: [weight] })), undefined);
});

test('data outside is found wherever a tensor may stand', () => {
  const outside = externalInitializer('w', [1], 'elsewhere');
  const constant = node('Constant', [], ['y'], { value: { tensor: outside } });
  const branch = node('If', ['x'], ['y'], { then_branch: graph({ nodes: [constant], outputs: [y] }) });
  for (const nodes of [[constant], [branch]]) {
    assert.match(refusalOf(onnxModel({ nodes, outputs: [y] }))!, /outside the file/);
  }
});

test('graphs nested without end, long names and links are refused', () => {
  let inner = graph({ nodes: [], outputs: [y] });
  for (let depth = 0; depth < 40; depth += 1) inner = graph({ nodes: [node('If', ['x'], ['y'], { then_branch: inner })], outputs: [y] });
  assert.match(refusalOf(onnxModel({ nodes: [node('If', ['x'], ['y'], { then_branch: inner })], outputs: [y] }))!, /nested too deeply/);
  assert.match(refusalOf(onnxModel({ nodes: [], outputs: [tensorInfo('y'.repeat(5000), 'float32', [1])] }))!, /longer than/);
  const link = path.join(folder, 'link.onnx');
  symlinkSync(path.join(demoDirectory, 'compressor/1.0/model.onnx'), link);
  assert.throws(() => onnxRefusal(link), /ELOOP/);
});
