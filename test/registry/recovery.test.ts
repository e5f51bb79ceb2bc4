// Models that failed are loaded again while no other answers, ever more seldom, and left alone otherwise.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { recoveryMs, recoveryMsMax } from '../../src/limits.ts';
import { Recovery } from '../../src/registry/recovery.ts';
import { Slot, type Loaded } from '../../src/registry/slot.ts';

/** A slot that fails until it is mended. */
function failing() {
  const model = { isMended: false, loads: 0, load: () => slot.reload(), get state() { return slot.state; } };
  const slot = new Slot<Loaded>(async () => {
    model.loads += 1;
    if (!model.isMended) throw new Error('broken');
    return { close: async () => {} };
  });
  return model;
}

/** Lets so much time pass, in steps, with all that waits for it. */
async function pass(t: TestContext, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += recoveryMs / 2) {
    t.mock.timers.tick(recoveryMs / 2);
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a failed model comes back once it can, after ever longer waits', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const model = failing();
  await assert.rejects(model.load());
  const recovery = new Recovery(() => [model], () => model.state === 'ready');
  t.after(() => recovery.close());
  await pass(t, 3.5 * recoveryMs);
  assert.equal(model.loads, 3, 'after one and two more waits');
  await pass(t, 10 * recoveryMsMax);
  assert.ok(model.loads >= 12 && model.loads <= 20, `${model.loads} loads`);
  model.isMended = true;
  await pass(t, 1.5 * recoveryMsMax);
  assert.equal(model.state, 'ready');
  const { loads } = model;
  await pass(t, recoveryMsMax);
  assert.equal(model.loads, loads);
});

test('a failed model is left alone while another one answers, and after the end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const model = failing();
  await assert.rejects(model.load());
  let isReady = true;
  const recovery = new Recovery(() => [model], () => isReady);
  await pass(t, recoveryMsMax);
  assert.equal(model.loads, 1);
  recovery.close();
  isReady = false;
  await pass(t, recoveryMsMax);
  assert.equal(model.loads, 1);
});
