import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { Regroup } from '../../src/batch/regroup.ts';

test('it lasts until as many requests have come as were answered', () => {
  const regroup = new Regroup(() => assert.fail('the time was not over'));
  regroup.begin(3, 60);
  for (const active of [true, true, false]) {
    regroup.arrived();
    assert.equal(regroup.active, active);
  }
  regroup.end();
});

test('it ends by itself after a small part of the batch time', async () => {
  let ended = 0;
  const regroup = new Regroup(() => (ended += 1));
  regroup.begin(3, 36);
  assert.equal(regroup.active, true);
  await sleep(30);
  assert.equal(regroup.active, false);
  assert.equal(ended, 1);
});

test('one answered request, or a batch too short for it, begins nothing', () => {
  const regroup = new Regroup(() => {});
  regroup.begin(1, 1000);
  assert.equal(regroup.active, false);
  regroup.begin(8, 4);
  assert.equal(regroup.active, false);
});

test('what comes at any other time changes nothing', () => {
  const regroup = new Regroup(() => {});
  regroup.arrived();
  assert.equal(regroup.active, false);
});
