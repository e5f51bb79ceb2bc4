import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ByteBudget } from '../../src/byte-budget.ts';
import { ServerError } from '../../src/errors.ts';
import { SharedResponse } from '../../src/upstream/shared-response.ts';
import type { UpstreamResponse } from '../../src/upstream/upstream.ts';

/** An upstream's answer whose pieces come when the test says so. */
class Answer {
  stopped: Promise<void> | undefined;
  #pieces: (Uint8Array | 'end')[] = [];
  #wake = (): void => {};

  readonly open = (signal: AbortSignal): Promise<UpstreamResponse> => {
    this.stopped = new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
    return Promise.resolve({ status: 200, contentType: 'text/plain', headers: {}, body: this.#body(signal) });
  };

  give(piece: string | 'end'): void {
    this.#pieces.push(piece === 'end' ? 'end' : Buffer.from(piece));
    this.#wake();
  }

  async *#body(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece === 'end') return;
      if (piece !== undefined) yield piece;
      else await Promise.race([aborted, new Promise<void>((resolve) => (this.#wake = resolve))]);
      if (signal.aborted) throw new ServerError('CANCELLED');
    }
  }
}

async function textOf(response: SharedResponse): Promise<string> {
  const chunks = [];
  for await (const chunk of response.chunks()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('each reader gets all of it from the start, whenever it comes', async () => {
  const answer = new Answer();
  const response = new SharedResponse(answer.open, new ByteBudget(100));
  response.enter();
  const first = textOf(response);
  answer.give('one ');
  const second = textOf(response);
  answer.give('two');
  answer.give('end');
  assert.deepEqual(await Promise.all([first, second, textOf(response)]), ['one two', 'one two', 'one two']);
  assert.equal((await response.whole).toString(), 'one two');
});

describe('the budget', () => {
  test('is given back when the last reader of a whole answer leaves, once', async () => {
    const budget = new ByteBudget(100);
    const answer = new Answer();
    const response = new SharedResponse(answer.open, budget);
    const [leave, leaveToo] = [response.enter(), response.enter()];
    answer.give('x'.repeat(40));
    answer.give('end');
    await response.whole;
    leave();
    assert.equal(budget.bytes, 40);
    leaveToo();
    leaveToo();
    assert.equal(budget.bytes, 0);
    // Who comes now reads what is still there.
    response.enter()();
    assert.equal(budget.bytes, 0);
  });

  test('is given back when everybody left before the end', async () => {
    const budget = new ByteBudget(100);
    const answer = new Answer();
    const response = new SharedResponse(answer.open, budget);
    const leave = response.enter();
    const read = response.chunks()[Symbol.asyncIterator]();
    answer.give('x'.repeat(40));
    await read.next();
    assert.equal(budget.bytes, 40);
    leave();
    await answer.stopped;
    await assert.rejects(response.whole);
    assert.equal(budget.bytes, 0);
    assert.equal(response.isAbandoned, true);
  });

  test('breaks off the answer that exceeds it, and no other', async () => {
    const budget = new ByteBudget(100);
    const [kept, broken] = [new Answer(), new Answer()];
    const keptResponse = new SharedResponse(kept.open, budget);
    const brokenResponse = new SharedResponse(broken.open, budget);
    const [leave, leaveBroken] = [keptResponse.enter(), brokenResponse.enter()];
    kept.give('x'.repeat(60));
    await keptResponse.chunks()[Symbol.asyncIterator]().next();
    broken.give('y'.repeat(60));
    await assert.rejects(brokenResponse.whole, (error) => error instanceof ServerError && error.code === 'OVERLOADED');
    await assert.rejects(textOf(brokenResponse), /too many answers/);
    leaveBroken();
    kept.give('end');
    assert.equal((await keptResponse.whole).byteLength, 60);
    leave();
    assert.equal(budget.bytes, 0);
  });
});
