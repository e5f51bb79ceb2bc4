import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RecentHits } from '../../../src/cache/semantic/uses.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

test('the similarities of long questions are kept without the questions', () => {
  const hits = new RecentHits();
  const question = (i: number) => `${i} ${'word '.repeat(20_000)}`;
  const before = heapBytes();
  for (let i = 0; i < 1000; i += 1) hits.remember('id', question(i), i / 1000);
  const bytes = heapBytes() - before;
  assert.ok(bytes < 10e6, `${bytes} bytes for 1000 similarities`);
  assert.equal(hits.similarity('id', ` ${question(500)}`), 0.5);
  assert.equal(hits.similarity('other', question(500)), undefined);
});
