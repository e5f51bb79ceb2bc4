import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventReader, eventOf } from '../../src/upstream/server-sent-events.ts';

function eventsOf(pieces: readonly Uint8Array[]): string[] {
  const reader = new EventReader();
  return pieces.flatMap((piece) => reader.push(piece));
}

test('wherever the bytes are cut, the events are the same', () => {
  const stream = Buffer.from(
    ': a comment\r\n\r\ndata: one\r\n\r\nevent: x\ndata:two\ndata:  three\nid: 1\n\ndata: é €\r\rretry: 5\n\n\n\ndata\ndata:\n\ndata: not ended',
  );
  const events = ['one', 'two\n three', 'é €', '\n'];
  assert.deepEqual(eventsOf([stream]), events);
  for (let first = 0; first <= stream.length; first++) {
    for (let second = first; second <= stream.length; second++) {
      const pieces = [stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)];
      assert.deepEqual(eventsOf(pieces), events, `cut at ${first} and ${second}`);
    }
  }
  assert.deepEqual(eventsOf([...stream].map((byte) => Uint8Array.of(byte))), events);
});

test('what is written is read', () => {
  assert.deepEqual(eventsOf([Buffer.from(eventOf('{"a":"b"}') + eventOf('[DONE]'))]), ['{"a":"b"}', '[DONE]']);
});
