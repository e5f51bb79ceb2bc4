import assert from 'node:assert/strict';
import { test } from 'node:test';
import { areDerived, baseForm } from '../../../../src/cache/semantic/verdict/base-form.ts';

test('the forms of one word share a base', () => {
  const forms = [
    ['bake', 'bakes', 'baked', 'baking'], ['stop', 'stops', 'stopped', 'stopping'], ['city', 'cities'], ['carry', 'carries', 'carried'],
    ['buy', 'bought', 'buying'], ['child', 'children'], ['box', 'boxes'], ['shoe', 'shoes'], ['quick', 'quickly'], ['day', 'days'], ['cookie', 'cookies'],
  ];
  for (const group of forms) assert.equal(new Set(group.map(baseForm)).size, 1, group.join());
});

test('other words do not', () => {
  for (const [a, b] of [['bus', 'buy'], ['sing', 'sin'], ['red', 'reed'], ['bigger', 'biggest']] as const) assert.notEqual(baseForm(a), baseForm(b));
});

test('derived words are known by their endings', () => {
  assert.ok(areDerived('resign', 'resignation'));
  assert.ok(areDerived('america', 'american'));
  for (const [a, b] of [['prednisone', 'prednisolone'], ['employer', 'employee'], ['interest', 'internet']] as const) assert.equal(areDerived(a, b), false);
});
