import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerError } from '../../src/errors.ts';
import { checkShape, elementCount, elementPath, fitShape, type BoundDimensions } from '../../src/tensor/shapes.ts';

test('elements are counted without overflow', () => {
  assert.equal(elementCount([], 'x'), 1);
  assert.equal(elementCount([2, 3, 4], 'x'), 24);
  assert.equal(elementCount([5, 0], 'x'), 0);
  for (const shape of [[2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1, 4], [2 ** 27], [2 ** 31 - 1, 0]]) {
    assert.throws(
      () => elementCount(shape, 'x'),
      (error: ServerError) => error.code === 'INPUT_TOO_LONG' && error.field === 'x',
    );
  }
});

test('a shape is a short list of sizes', () => {
  assert.deepEqual(checkShape([0, 7], 'x'), [0, 7]);
  for (const bad of [
    '2',
    [1.5],
    [-1],
    [2 ** 31],
    [null],
    ['2'],
    Array.from({ length: 9 }, () => 1),
    { length: 1 },
    undefined,
  ]) {
    assert.throws(
      () => checkShape(bad, 'x.shape'),
      (error: ServerError) => error.field === 'x.shape',
    );
  }
});

test('fixed sizes must be met, and one name has one size', () => {
  const bound: BoundDimensions = new Map();
  fitShape(['height', -1, 3], [4, 5, 3], 'image', bound);
  fitShape(['height'], [4], 'rows', bound);
  assert.throws(() => fitShape(['height'], [5], 'rows', bound), /'rows' has 5 as its 'height', and 'image' has 4/);
  assert.throws(
    () => fitShape(['height', -1, 3], [4, 5, 1], 'image', bound),
    /\[4, 5, 1\] instead of \[height, any, 3\]/,
  );
  assert.throws(() => fitShape([2], [2, 1], 'image', bound), ServerError);
});

test('an element is named as it was written', () => {
  assert.equal(elementPath('image', [2, 3, 4], 23), 'image[1][2][3]');
  assert.equal(elementPath('level', [], 0), 'level');
});
