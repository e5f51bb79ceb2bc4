import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbedJob } from '../../src/batch/job.ts';
import { FairQueue, type QueuedInput } from '../../src/batch/queue.ts';

const options = { prompt: '', truncation: 'right', dimension: 0, normalize: undefined } as const;

function request(name: string, tokens: readonly number[], waiter = { cancelled: false }): QueuedInput[] {
  const job = new EmbedJob(tokens.length, waiter);
  job.result.catch(() => {});
  return tokens.map((count, index) => ({ job, index, input: `${name}${index}`, options, size: undefined, tokens: count, turn: 0 }));
}

const names = (entries: readonly QueuedInput[]) => entries.map((entry) => entry.input);

test('inputs of one request keep their order', () => {
  const queue = new FairQueue();
  queue.push(request('a', [5, 5, 5]));
  assert.deepEqual(names(queue.window(10)), ['a0', 'a1', 'a2']);
  assert.equal(queue.tokens, 15);
});

test('a single text passes a large request that came before', () => {
  const queue = new FairQueue();
  queue.push(request('bulk', Array<number>(100).fill(10)));
  queue.take([0]);
  queue.take([0]);
  queue.push(request('single', [10]));
  assert.ok(names(queue.window(2)).includes('single0'));
});

test('a stream of single texts does not starve a large request', () => {
  const queue = new FairQueue();
  queue.push(request('bulk', Array<number>(50).fill(10)));
  let bulk = 0;
  for (let i = 0; i < 120; i++) {
    queue.push(request(`s${i}-`, [10]));
    if (String(queue.take([0])[0]!.input).startsWith('bulk')) bulk += 1;
  }
  // More comes than is taken, so single texts pile up, and the request's fair share falls with each of them.
  assert.ok(bulk >= 10, `${bulk} of 50 ran beside 120 single texts`);
});

test('taking from the middle leaves the rest in order', () => {
  const queue = new FairQueue();
  queue.push(request('a', Array<number>(10).fill(1)));
  assert.deepEqual(names(queue.take([0, 3, 7])), ['a0', 'a3', 'a7']);
  assert.deepEqual(names(queue.window(10)), ['a1', 'a2', 'a4', 'a5', 'a6', 'a8', 'a9']);
  assert.equal(queue.length, 7);
  assert.equal(queue.tokens, 7);
});

test('any sequence of pushes and takes matches a plain sorted list', () => {
  const queue = new FairQueue();
  let model: QueuedInput[] = [];
  let state = 11;
  const random = (limit: number) => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % limit;
  for (let round = 0; round < 3000; round++) {
    if (random(2) === 0) {
      const inputs = request(`r${round}-`, Array.from({ length: 1 + random(8) }, () => 1 + random(30)));
      queue.push(inputs);
      model = [...model, ...inputs].sort((a, b) => a.turn - b.turn);
    } else if (queue.length > 0) {
      const indices = [...new Set([0, random(queue.length), random(queue.length)])].sort((a, b) => a - b);
      const taken = queue.take(indices);
      assert.deepEqual(names(taken), indices.map((i) => model[i]!.input));
      model = model.filter((_, i) => !indices.includes(i));
    }
    assert.equal(queue.tokens, model.reduce((sum, entry) => sum + entry.tokens, 0));
    assert.deepEqual(queue.window(1e9).map((entry) => entry.turn), model.map((entry) => entry.turn));
  }
});

test('inputs of ended requests leave, wherever they stand', () => {
  const queue = new FairQueue();
  const gone = { cancelled: false };
  queue.push(request('a', [3, 3]));
  queue.push(request('b', [4, 4], gone));
  gone.cancelled = true;
  assert.deepEqual(names(queue.takeEnded()), ['b0', 'b1']);
  assert.deepEqual(names(queue.window(9)), ['a0', 'a1']);
  assert.equal(queue.tokens, 6);
});
