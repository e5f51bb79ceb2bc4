import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare } from '../../../../src/cache/semantic/verdict/align.ts';
import { features, featuresOf } from '../../../../src/cache/semantic/verdict/features.ts';
import { probabilityOf } from '../../../../src/cache/semantic/verdict/verifier.ts';
import { weights } from '../../../../src/cache/semantic/verdict/weights.ts';

test('each feature has one weight, and none speaks against its sign', () => {
  const signs = Object.values(features);
  assert.equal(weights.coefficients.length, signs.length);
  assert.equal(featuresOf(compare('one lamp', 'a lamp'), 0.9).length, signs.length);
  for (const [f, sign] of signs.entries()) if (sign !== 0) assert.ok(weights.coefficients[f]! * sign >= 0);
});

test('the more similar, the more probable', () => {
  const alignment = compare('Where do herons nest?', 'Where do herons build their nests?');
  const [far, near] = [0.6, 0.9].map((similarity) => probabilityOf(featuresOf(alignment, similarity))) as [number, number];
  assert.ok(far < near);
  assert.ok(far > 0 && near < 1);
});
