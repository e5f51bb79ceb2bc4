import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { ModelCache, type Eviction } from '../../src/registry/model-cache.ts';
import { Slot } from '../../src/registry/slot.ts';

function setup(t: TestContext, options: { modelsMax?: number; idleMsMax?: number } = {}) {
  const evictions: Eviction[] = [];
  const cache = new ModelCache({ modelsMax: 2, idleMsMax: 0, cleanupIntervalMs: 5, ...options }, (eviction) => evictions.push(eviction));
  t.after(() => cache.close());
  const slots = new Map<string, Slot<{ close(): Promise<void> }>>();
  const add = (name: string, pinned = false) => {
    const slot = new Slot(() => {
      cache.makeRoom();
      return Promise.resolve({ close: () => Promise.resolve() });
    }, () => cache.makeRoom());
    slots.set(name, slot);
    cache.add(name, slot, pinned);
  };
  const use = async (name: string) => {
    (await slots.get(name)!.lease()).release();
    await sleep(2);
  };
  return { cache, evictions, add, use, slot: (name: string) => slots.get(name)! };
}

test('the least recently used idle model leaves when there are too many', async (t) => {
  const { add, use, evictions, cache } = setup(t);
  for (const name of ['a', 'b', 'c']) add(name);
  await use('a');
  await use('b');
  await use('a');
  await use('c');
  assert.deepEqual(evictions, [{ name: 'b', reason: 'lru' }]);
  assert.equal(cache.loadedCount, 2);
});

test('a model in use never leaves, though it is the oldest; room is made when it ends', async (t) => {
  const { add, use, slot, evictions, cache } = setup(t, { modelsMax: 1 });
  add('a');
  add('b');
  const lease = await slot('a').lease();
  const other = await slot('b').lease();
  assert.deepEqual(evictions, []);
  assert.equal(cache.loadedCount, 2);
  other.release();
  assert.deepEqual(evictions, [{ name: 'b', reason: 'lru' }]);
  lease.release();
  await use('a');
  assert.equal(slot('a').state, 'ready');
});

test('a pinned model stays, whatever comes', async (t) => {
  const { add, use, slot } = setup(t, { modelsMax: 1, idleMsMax: 1 });
  add('pinned', true);
  add('b');
  await use('pinned');
  await use('b');
  await sleep(30);
  assert.equal(slot('pinned').state, 'ready');
  assert.equal(slot('b').state, 'absent');
});

test('an idle model leaves after its time and comes back on demand', async (t) => {
  const { add, use, slot, evictions } = setup(t, { idleMsMax: 10 });
  add('a');
  await use('a');
  while (slot('a').state !== 'absent') await sleep(5);
  assert.deepEqual(evictions, [{ name: 'a', reason: 'ttl' }]);
  await use('a');
  assert.equal(slot('a').uses, 2);
});

test('a model in use does not time out', async (t) => {
  const { add, slot } = setup(t, { idleMsMax: 5 });
  add('a');
  const lease = await slot('a').lease();
  await sleep(40);
  assert.equal(slot('a').state, 'ready');
  lease.release();
});

test('room is made before a model is loaded, not after', async (t) => {
  const { add, use, slot, cache, evictions } = setup(t, { modelsMax: 1 });
  add('a');
  add('b');
  await use('a');
  const lease = await slot('b').lease();
  assert.deepEqual(evictions, [{ name: 'a', reason: 'lru' }]);
  assert.equal(cache.loadedCount, 1);
  lease.release();
});
