import assert from 'node:assert/strict';
import { test } from 'node:test';
import { features } from '../../src/cache/semantic/verdict/features.ts';
import { probabilityOf } from '../../src/cache/semantic/verdict/verifier.ts';
import { shareText, wilson } from '../../bench/verdict/curves.ts';
import { fit, type Example } from '../../bench/verdict/fit.ts';

test('Wilson\'s interval is that of the literature', () => {
  // Agresti and Coull 1998: 0 of 10 and 5 of 10.
  const [none, half] = [wilson(0, 10), wilson(5, 10)];
  assert.ok(Math.abs(none.low) < 1e-9 && Math.abs(none.high - 0.2775) < 1e-3);
  assert.ok(Math.abs(half.low - 0.2366) < 1e-3 && Math.abs(half.high - 0.7634) < 1e-3);
  assert.equal(shareText(1, 2), '50.0 % [9.5-90.5] 1/2');
  assert.equal(shareText(0, 0), '-');
});

test('the fit finds what parts the examples, keeps the signs, and gives the same weights again', () => {
  const width = Object.keys(features).length;
  const examples = Array.from({ length: 200 }, (_, i): Example => {
    const values = Array.from({ length: width }, (_, f) => ((i * (f + 3) * 7919) % 101) / 101);
    return { values, same: values[0]! - values[4]! > 0, weight: 1, groups: [i], guarded: false };
  });
  const weights = fit(examples);
  assert.deepEqual(fit(examples), weights);
  assert.ok(weights.coefficients[0]! > 1 && weights.coefficients[4]! < -1);
  const right = examples.filter(({ values, same }) => probabilityOf(values, weights) > 0.5 === same).length;
  assert.ok(right > 180, `${right} of 200`);
  // Turned round, the first feature would have to speak against its sign, so it says nothing.
  const turned = fit(examples.map((example) => ({ ...example, same: !example.same })));
  assert.equal(turned.coefficients[0], 0);
});
