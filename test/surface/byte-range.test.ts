import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byteRangeOf, hasTag, isSameFile } from '../../src/surface/byte-range.ts';

test('a range is cut to the file', () => {
  assert.deepEqual(byteRangeOf('bytes=0-3', 10), { first: 0, last: 3 });
  assert.deepEqual(byteRangeOf('bytes=4-', 10), { first: 4, last: 9 });
  assert.deepEqual(byteRangeOf('bytes=8-100', 10), { first: 8, last: 9 });
  assert.deepEqual(byteRangeOf('bytes=-4', 10), { first: 6, last: 9 });
  assert.deepEqual(byteRangeOf('bytes=-100', 10), { first: 0, last: 9 });
  assert.deepEqual(byteRangeOf('bytes=9-9', 10), { first: 9, last: 9 });
});

test('what lies beyond the file is unsatisfiable', () => {
  for (const header of ['bytes=10-', 'bytes=10-20', 'bytes=99999999999999999999-', 'bytes=-0']) {
    assert.equal(byteRangeOf(header, 10), 'unsatisfiable', header);
  }
});

test('what is no single range of bytes answers the whole file', () => {
  for (const header of ['', 'bytes=', 'bytes=-', 'bytes=3-2', 'bytes=0-1,3-4', 'lines=0-1', 'bytes=a-b', 'bytes 0-1']) {
    assert.equal(byteRangeOf(header, 10), undefined, header);
  }
});

test('If-None-Match is a list of tags, or any', () => {
  assert.equal(hasTag('"a", W/"b"', '"b"'), true);
  assert.equal(hasTag('*', '"b"'), true);
  assert.equal(hasTag('"a"', '"b"'), false);
});

test('If-Range is the tag, or a date that is sure', () => {
  const modifiedMs = Date.parse('2026-01-01T00:00:00Z') + 300;
  assert.equal(isSameFile('', '"a"', modifiedMs), true);
  assert.equal(isSameFile('"a"', '"a"', modifiedMs), true);
  assert.equal(isSameFile('W/"a"', '"a"', modifiedMs), false);
  assert.equal(isSameFile('Thu, 01 Jan 2026 00:00:00 GMT', '"a"', modifiedMs), true);
  assert.equal(isSameFile('Thu, 01 Jan 2026 00:00:01 GMT', '"a"', modifiedMs), false);
  const now = Math.floor(Date.now() / 1000) * 1000;
  assert.equal(isSameFile(new Date(now).toUTCString(), '"a"', now), false);
});
