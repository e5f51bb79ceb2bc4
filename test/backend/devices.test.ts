import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseDevices } from '../../src/backend/devices.ts';

test('auto takes CUDA where its provider is installed, else the CPU', () => {
  assert.deepEqual(chooseDevices('auto', () => true), ['cuda:0']);
  assert.deepEqual(chooseDevices('auto', () => false), ['cpu']);
});

test('a list of devices is shared out in its order', () => {
  assert.deepEqual(chooseDevices('cuda:1,3'), ['cuda:1', 'cuda:3']);
  assert.deepEqual(chooseDevices('cuda'), ['cuda:0']);
});

test('looking for the installed provider works here', () => {
  assert.ok(['cpu', 'cuda:0'].includes(chooseDevices('auto')[0]!));
});
