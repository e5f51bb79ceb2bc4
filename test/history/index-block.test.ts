import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countBelow, countOf, filterOf, idAt, insert, recordBytes, recordsOf, slice } from '../../src/history/index-block.ts';
import { idToBytes, lowestIdAt } from '../../src/history/row.ts';
import type { HistoryQuery } from '../../src/history/store.ts';
import { rowsOf, startMs } from './rows.ts';

const empty = Buffer.alloc(0);
const full = countOf(insert(empty, recordsOf(rowsOf(1000)), true)[0]!);
const ids = (blocks: readonly Buffer[]) => blocks.flatMap((block) => (
  Array.from({ length: countOf(block) }, (_, index) => idAt(block, index).toString('hex'))));
const idsOf = (rows: readonly { id: string }[]) => rows.map(({ id }) => id.replaceAll('-', ''));

test('records are sorted by id, whatever order the rows come in', () => {
  const rows = rowsOf(50);
  const shuffled = rows.toSorted((left, right) => left.id.at(-13)!.localeCompare(right.id.at(-13)!) || 1);
  assert.deepEqual(ids([recordsOf(shuffled)]), idsOf(rows));
});

test('the newest block is filled before another begins', () => {
  const rows = rowsOf(full * 2 + 10);
  const [first, ...rest] = insert(empty, recordsOf(rows.slice(0, full - 1)), true);
  assert.equal(rest.length, 0);
  const blocks = insert(first!, recordsOf(rows.slice(full - 1)), true);
  assert.deepEqual(blocks.map(countOf), [full, full, 10]);
  assert.deepEqual(ids(blocks), idsOf(rows));
});

test('an older block that overflows is divided evenly, so that it has room again', () => {
  const rows = rowsOf(full + 1);
  const late = rows[7]!;
  const [block] = insert(empty, recordsOf(rows.filter((row) => row !== late)), true);
  const blocks = insert(block!, recordsOf([late]), false);
  assert.deepEqual(blocks.map(countOf), [Math.ceil((full + 1) / 2), Math.floor((full + 1) / 2)]);
  assert.deepEqual(ids(blocks), idsOf(rows));
});

test('a block knows how many of its ids are below another', () => {
  const block = recordsOf(rowsOf(100));
  for (const number of [-1, 0, 1, 50, 98, 99, 100, 1000]) {
    const expected = Math.min(Math.max(number, 0), 100);
    assert.equal(countBelow(block, idToBytes(lowestIdAt(startMs + number))), expected);
  }
  assert.equal(countBelow(empty, idAt(block, 0)), 0);
  assert.equal(countOf(slice(block, 10, 30)), 20);
});

test('a filter asks each record for all that the query names', () => {
  const rows = rowsOf(4, (number) => ({
    version: number < 2 ? 'a' : 'b', ...(number === 3 && { errorCode: 'TIMEOUT' }),
    inferenceMs: number === 1 ? undefined : number,
  }));
  const records = recordsOf(rows);
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const matching = (query: Partial<HistoryQuery>) => {
    const filter = filterOf({ limit: 1, offset: 0, ...query })!;
    return [0, 1, 2, 3].filter((number) => filter(view, number * recordBytes));
  };
  assert.deepEqual(matching({ version: 'a' }), [0, 1]);
  assert.deepEqual(matching({ version: 'compressor' }), [], 'a name counts only in its own field');
  assert.deepEqual(matching({ status: 'error' }), [3]);
  assert.deepEqual(matching({ status: 'success', inferenceMsMin: 0 }), [0, 2], 'no time is in no range');
  assert.deepEqual(matching({ inferenceMsMin: 2, inferenceMsMax: 2 }), [2]);
  assert.deepEqual(matching({ version: 'b', model: 'compressor', status: 'TIMEOUT', inferenceMsMax: 3 }), [3]);
  assert.equal(filterOf({ limit: 1, offset: 0, fromMs: 1, toMs: 2, before: rows[0]!.id }), undefined);
});
