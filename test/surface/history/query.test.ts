import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerError } from '../../../src/errors.ts';
import { cursorOf } from '../../../src/history/row.ts';
import { historyQueryOf } from '../../../src/surface/history/query.ts';

const read = (text: string) => historyQueryOf(new URLSearchParams(text));
const id = '0194200c-1234-7000-8000-0123456789ab';

test('what is not given is absent or has its standard', () => {
  assert.deepEqual(read(''), { limit: 100, offset: 0 });
  assert.deepEqual(read('unknown=1&__proto__=2&constructor=3'), { limit: 100, offset: 0 });
});

test('every parameter is read', () => {
  const text = `limit=500&offset=20&before=${cursorOf(id)}&version=1.0&model=__proto__&status=TIMEOUT&from=1000`
    + '&to=2025-01-31T12:00:00.5Z&min_inference_time=0&max_inference_time=1.5e2';
  assert.deepEqual(read(text), {
    limit: 500, offset: 20, before: id, version: '1.0', model: '__proto__', status: 'TIMEOUT',
    fromMs: 1000, toMs: Date.UTC(2025, 0, 31, 12, 0, 0, 500), inferenceMsMin: 0, inferenceMsMax: 150,
  });
  assert.equal(read('skip=7').offset, 7);
  assert.equal(read('skip=7&offset=7').offset, 7);
});

test('times are read as clients write them, UTC where no zone is given', () => {
  const rows: [string, number][] = [
    ['2025-01-01', Date.UTC(2025, 0, 1)],
    ['2025-01-01T02:00', Date.UTC(2025, 0, 1, 2)],
    ['2025-01-01 02:00:03', Date.UTC(2025, 0, 1, 2, 0, 3)],
    ['2025-01-01T02:00:00.123456', Date.UTC(2025, 0, 1, 2, 0, 0, 123)],
    ['2025-01-01T02:00:00+02:00', Date.UTC(2025, 0, 1)],
    ['2025-01-01T02:00:00%2B02:00', Date.UTC(2025, 0, 1)],
    ['2025-01-01T02:00:00-0230', Date.UTC(2025, 0, 1, 4, 30)],
    ['2025-01-01t02:00:00z', Date.UTC(2025, 0, 1, 2)],
    ['1735689600000', Date.UTC(2025, 0, 1)],
    ['0', 0],
  ];
  for (const [text, ms] of rows) assert.equal(read(`from=${text}`).fromMs, ms, text);
});

test('what is wrong is refused by its name', () => {
  const rows: [string, string][] = [
    ['limit=0', 'limit'], ['limit=501', 'limit'], ['limit=-1', 'limit'], ['limit=1.5', 'limit'], ['limit=1e2', 'limit'],
    ['limit=', 'limit'], ['limit=abc', 'limit'], ['limit=0x10', 'limit'], ['limit=1&limit=2', 'limit'],
    ['offset=-1', 'offset'], ['offset=99999999999', 'offset'], ['skip=x', 'skip'], ['skip=1&offset=2', 'skip'],
    ['before=', 'before'], ['before=x', 'before'], [`before=${id}`, 'before'],
    ['before=AAAAAAAAAAAAAAAAAAAAAA', 'before'],
    ['version=', 'version'], ['version=a&version=b', 'version'],
    ['status=ok', 'status'], ['status=__proto__', 'status'], ['status=constructor', 'status'],
    ['status=timeout', 'status'],
    ['from=yesterday', 'from'], ['from=2025-13-01', 'from'], ['from=2025-01-01T25:00Z', 'from'], ['to=-5', 'to'],
    ['to=1e15', 'to'], ['from=2&to=1', 'from'], [`from=${'9'.repeat(100_000)}`, 'from'],
    ['min_inference_time=-1', 'min_inference_time'], ['max_inference_time=NaN', 'max_inference_time'],
    ['max_inference_time=Infinity', 'max_inference_time'], ['max_inference_time=1e999', 'max_inference_time'],
    ['min_inference_time=2&max_inference_time=1', 'min_inference_time'],
  ];
  for (const [text, field] of rows) {
    assert.throws(() => read(text), (error) => {
      assert.ok(error instanceof ServerError, text);
      assert.deepEqual([error.code, error.field], ['REQUEST_INVALID', field], text);
      return error.message.includes(`'${field}'`) && error.message.length < 300;
    }, text.slice(0, 80));
  }
  assert.equal(read('from=2025').fromMs, 2025, 'digits are milliseconds');
});
