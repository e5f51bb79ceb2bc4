import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editDistance, nearestName } from '../../src/config/nearest.ts';

test('the distance counts insertions, deletions, replacements and swaps', () => {
  const rows = [['', '', 0], ['a', '', 1], ['', 'abc', 3], ['abc', 'abc', 0], ['abc', 'abd', 1], ['abc', 'ac', 1],
    ['prot', 'port', 1], ['ca', 'ac', 1], ['kitten', 'sitting', 3]] as const;
  for (const [left, right, distance] of rows) {
    assert.equal(editDistance(left, right), distance);
    assert.equal(editDistance(right, left), distance);
  }
});

test('the nearest name is the least distant, and none beyond the bound', () => {
  assert.equal(nearestName('prot', ['host', 'port', 'ports'], 2), 'port');
  assert.equal(nearestName('prot', ['host'], 1), undefined);
  assert.equal(nearestName('x', [], 3), undefined);
});
