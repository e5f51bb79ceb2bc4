// The bench client counts answers by this reader: one it misses hangs the bench, one too many makes a false rate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerReader } from '../../bench/answer-reader.ts';

const answer = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 11\r\nUws: 20\r\n\r\nhello world');

test('an answer in one piece is whole at once', () => {
  const reader = new AnswerReader();
  assert.equal(reader.push(answer), true);
  assert.equal(reader.status, 200);
  assert.equal(reader.bodyBytes, 11);
});

test('an answer cut in two anywhere is whole with its last byte', () => {
  for (let cut = 1; cut < answer.length; cut++) {
    const reader = new AnswerReader();
    assert.equal(reader.push(answer.subarray(0, cut)), false, `after ${cut} bytes`);
    assert.equal(reader.push(answer.subarray(cut)), true, `cut at ${cut}`);
    assert.equal(reader.bodyBytes, 11);
  }
});

test('answers that arrive byte by byte are counted one by one', () => {
  const reader = new AnswerReader();
  let answers = 0;
  for (const byte of Buffer.concat([answer, answer, answer])) answers += Number(reader.push(Buffer.of(byte)));
  assert.equal(answers, 3);
});

test('a body that holds an empty line is not taken for a head', () => {
  const reader = new AnswerReader();
  assert.equal(reader.push(Buffer.from('HTTP/1.1 503 Busy\r\ncontent-length: 8\r\n\r\n')), false);
  assert.equal(reader.push(Buffer.from('\r\n\r\n')), false);
  assert.equal(reader.push(Buffer.from('\r\n\r\n')), true);
  assert.equal(reader.status, 503);
});

test('an answer without a length is refused', () => {
  assert.throws(() => new AnswerReader().push(Buffer.from('HTTP/1.1 200 OK\r\n\r\n')), /without content-length/);
});
