import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WordTable, wordTable } from '../../../../src/cache/semantic/verdict/word-table.ts';

test('common words weigh less, unknown ones most', () => {
  const table = wordTable();
  assert.ok(table.weight('the') < table.weight('city'));
  assert.ok(table.weight('city') < table.weight('volcano'));
  assert.equal(table.weight('zzyzxq'), 1);
});

test('words of one meaning lie nearer than words of one topic', () => {
  const table = wordTable();
  assert.ok(table.similarity('car', 'automobile') > table.similarity('car', 'road'));
  assert.ok(table.similarity('car', 'road') > table.similarity('car', 'poetry'));
  assert.equal(table.similarity('car', 'zzyzxq'), 0);
});

test('a table that is cut short is refused', () => {
  const bytes = new Uint8Array(40);
  new DataView(bytes.buffer).setUint32(4, 3, true);
  assert.throws(() => new WordTable(bytes), /not whole/);
});
