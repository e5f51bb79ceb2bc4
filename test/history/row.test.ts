import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cursorOf, idOfCursor, idToBytes, lowestIdAt, RowSource } from '../../src/history/row.ts';
import { entry, rowsOf } from './rows.ts';

test('a row has the fields of the answer, with null where there is nothing', () => {
  const [row] = rowsOf(1, () => ({ requestId: 'r' }));
  assert.deepEqual({ ...row, id: '' }, {
    id: '', version: '1.0', model: 'compressor', timestamp: '2025-01-01T00:00:00.000Z', timestamp_ms: 1_735_689_600_000,
    status: 'success', error_code: null, inference_time_ms: 45.25, compression_ratio: 10.5, predicted_quality: 0.85,
    metrics: { compression_ratio: 10.5, predicted_quality: 0.85, adjusted_compression: 0.82 },
    inputs: [
      { name: 'image', shape: [1, 3, 224, 224], datatype: 'FP32' }, { name: 'imu', shape: [1, 6], datatype: null },
    ],
    request_id: 'r', caller: 'camera-7',
  });
  const failed = new RowSource().row({ version: '1', model: 'm', requestId: 'r', errorCode: 'TIMEOUT' });
  const { status, error_code: code, inference_time_ms: ms, metrics, caller, inputs } = failed;
  assert.deepEqual([status, code, ms, metrics, caller, inputs], ['error', 'TIMEOUT', null, null, null, []]);
});

test('ids are UUIDs that sort as they were made, through a burst and a clock that is set back', () => {
  const times = [1000, 1000, 1001, 500, 2000, ...Array.from({ length: 40_000 }, () => 2000)];
  let turn = 0;
  const source = new RowSource(() => times[turn++]!);
  const rows = times.map(() => source.row(entry));
  for (const [index, { id }] of rows.entries()) {
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    if (index > 0) assert.ok(rows[index - 1]!.id < id);
    if (index > 0) assert.ok(Buffer.compare(idToBytes(rows[index - 1]!.id), idToBytes(id)) < 0);
  }
  assert.equal(rows[3]!.timestamp_ms, 1001);
  assert.ok(lowestIdAt(2000) < rows[4]!.id && lowestIdAt(2001) > rows.at(-1)!.id && lowestIdAt(1999.5) > rows[3]!.id);
});

test('sources do not share ids', () => {
  const rows = Array.from({ length: 100 }, () => new RowSource(() => 5).row(entry));
  assert.equal(new Set(rows.map(({ id }) => id)).size, 100);
});

test('a row is small, whatever the request was', () => {
  const huge = 'x🙂'.repeat(1000);
  const row = new RowSource().row({
    version: huge, model: huge, requestId: huge, caller: huge, inferenceMs: -Infinity,
    metrics: Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`${huge}${index}`, index])),
    inputs: Array.from({ length: 1000 }, () => (
      { name: huge, shape: Array.from({ length: 1000 }, () => 2 ** 31), datatype: huge })),
  });
  assert.ok(Buffer.byteLength(JSON.stringify(row)) < 16_384);
  assert.ok(row.version.isWellFormed());
  assert.equal(row.inference_time_ms, null);
});

test('a cursor gives its id back, and anything else gives none', () => {
  const [row] = rowsOf(1);
  assert.equal(idOfCursor(cursorOf(row!.id)), row!.id);
  assert.match(cursorOf(row!.id), /^[\w-]{22}$/);
  const good = cursorOf(row!.id);
  const odd = ['', 'x', row!.id, '__proto__', '%00', `${good}A`, `${good}=`, 'A'.repeat(22), 'é'.repeat(22)];
  for (const cursor of odd) assert.equal(idOfCursor(cursor), undefined, cursor);
});
