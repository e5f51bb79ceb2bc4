import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { DenseModule } from '../../src/backend/manifest.ts';
import { Dense } from '../../native-workers/dense.ts';
import { float32, safetensors } from './safetensors-bytes.ts';
import { temporaryFolder } from './tiny-model.ts';

const weightsFile = path.join(temporaryFolder(), 'model.safetensors');
const module: DenseModule = {
  kind: 'dense', weightsFile, inputDimension: 3, outputDimension: 2, bias: true, activation: 'identity',
};
/** One rounding to float32. */
const tolerance = 1e-7;

function denseOf(changes: Partial<DenseModule>, weights = [1, 2, 3, -1, 0, 0.5], bias = [10, -1]): Dense {
  const { inputDimension, outputDimension } = { ...module, ...changes };
  writeFileSync(weightsFile, safetensors({
    'linear.weight': float32([outputDimension, inputDimension], weights),
    'linear.bias': float32([outputDimension], bias),
  }));
  return new Dense({ ...module, ...changes });
}

function applied(dense: Dense, input: readonly number[]): number[] {
  const output = new Float32Array(dense.outputDimension);
  dense.apply(Float32Array.from(input), output);
  return [...output];
}

test('outputs are weighted sums plus the bias', () => {
  assert.deepEqual(applied(denseOf({}), [1, 1, 2]), [19, -1]);
  assert.deepEqual(applied(denseOf({ bias: false }), [1, 1, 2]), [9, 0]);
});

test('activations are PyTorch\'s', () => {
  // From torch.nn.functional in double precision.
  const expected: Readonly<Partial<Record<DenseModule['activation'], readonly [number, number][]>>> = {
    tanh: [[-1, -0.761_594_155_955_765], [0.5, 0.462_117_157_260_01], [20, 1]],
    relu: [[-1, 0], [0, 0], [2.5, 2.5]],
    sigmoid: [[-1, 0.268_941_421_369_995], [0, 0.5], [40, 1]],
    gelu: [
      [-6, -5.919_525_856_8e-9], [-1, -0.158_655_253_931_457], [0, 0], [0.5, 0.345_731_230_631_701],
      [3, 2.995_950_305_911_03], [9, 9], [-9, 0],
    ],
  };
  for (const [activation, points] of Object.entries(expected)) {
    const wanted = activation as DenseModule['activation'];
    const dense = denseOf({ activation: wanted, inputDimension: 1, outputDimension: 1 }, [1], [0]);
    for (const [input, output] of points) {
      const error = Math.abs(applied(dense, [input])[0]! - output);
      assert.ok(error <= tolerance * Math.max(1, Math.abs(output)), `${activation}(${input}) is off by ${error}`);
    }
  }
});

test('weights that do not fit the module are refused', () => {
  writeFileSync(weightsFile, safetensors({ 'linear.weight': float32([3, 2], [1, 2, 3, 4, 5, 6]) }));
  assert.throws(() => new Dense(module), /shape 3,2 instead of 2,3/);
  writeFileSync(weightsFile, safetensors({ 'linear.weight': float32([2, 3], [1, 2, 3, 4, 5, 6]) }));
  assert.throws(() => new Dense(module), /no tensor linear\.bias/);
  assert.doesNotThrow(() => new Dense({ ...module, bias: false }));
});
