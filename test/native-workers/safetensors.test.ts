import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { float16Bits } from '../../src/tensor/float16.ts';
import { readSafetensors } from '../../native-workers/safetensors.ts';
import { float32, halves, safetensors } from './safetensors-bytes.ts';
import { temporaryFolder } from './tiny-model.ts';

const file = path.join(temporaryFolder(), 'model.safetensors');

function read(bytes: Buffer): ReturnType<typeof readSafetensors> {
  writeFileSync(file, bytes);
  return readSafetensors(file);
}

const values = [1, -2.5, 0, 65_504, 0.000_061_035_156_25, -0.333_251_953_125];
const bfloat16Bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16;

test('tensors are read by name, with their shape', () => {
  const tensors = read(safetensors({ 'linear.weight': float32([2, 3], values), 'linear.bias': float32([2], [7, 8]) }));
  assert.deepEqual([...tensors.keys()], ['linear.weight', 'linear.bias']);
  assert.deepEqual(tensors.get('linear.weight')!.shape, [2, 3]);
  assert.deepEqual([...tensors.get('linear.weight')!.values], [...Float32Array.from(values)]);
  assert.deepEqual([...tensors.get('linear.bias')!.values], [7, 8]);
});

test('half precision is widened', () => {
  const wide = [1, -2.5, 0, 0.5];
  const tensors = read(safetensors({
    half: halves('F16', [6], values, float16Bits),
    brain: halves('BF16', [4], wide, bfloat16Bits),
  }));
  assert.deepEqual([...tensors.get('half')!.values], values);
  assert.deepEqual([...tensors.get('brain')!.values], wide);
});

test('a header that leaves the tensors unaligned is no obstacle', () => {
  for (const name of ['a', 'ab', 'abc', 'abcd']) {
    assert.deepEqual([...read(safetensors({ [name]: float32([2], [1.5, -1.5]) })).get(name)!.values], [1.5, -1.5]);
  }
});

test('a file that is cut off is refused', () => {
  const whole = safetensors({ weight: float32([2], [1, 2]) });
  for (let length = 0; length < whole.length; length++) assert.throws(() => read(whole.subarray(0, length)));
});

test('sizes that contradict one another and other types are refused', () => {
  assert.throws(() => read(safetensors({ weight: { ...float32([2], [1, 2]), shape: [3] } })), /cut off/);
  assert.throws(() => read(safetensors({ weight: { dtype: 'I8', shape: [2], bytes: Buffer.alloc(2) } })), /I8/);
});
