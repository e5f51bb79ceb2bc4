// One call told part by part, without the forms that transports give it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Call } from '../../src/operation.ts';
import { EventStream, type StreamEvent } from '../../src/operation/events.ts';
import { operation } from '../transport/support.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('what a reader has taken is not kept until the end of the stream', async (t) => {
  const given: WeakRef<object>[] = [];
  async function* events(): AsyncGenerator<readonly StreamEvent[]> {
    for (;;) {
      const data = [new Uint8Array(1000)];
      given.push(new WeakRef(data));
      yield [{ event: 'item', json: '{}', data }];
    }
  }
  const call = new Call({ requestId: 'test', operation: operation('POST', '/test', () => undefined), timeoutMs: 10_000 });
  const stream = new EventStream({ wanted: () => true, events }, undefined, call);
  t.after(() => stream.close());
  for (let n = 0; n < 200; n++) await stream.next();
  await setImmediate();
  collectGarbage();
  const kept = given.filter((each) => each.deref() !== undefined).length;
  assert.ok(kept < 20, `${kept} of 200 are kept`);
});
