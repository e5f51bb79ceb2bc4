import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { ServerError } from '../../src/errors.ts';
import { loadWaitersMax } from '../../src/limits.ts';
import { Slot } from '../../src/registry/slot.ts';

/** Opens models one by one, each when the test says so. */
function opener() {
  const opened: { id: number; closed: boolean; close(): Promise<void> }[] = [];
  const pending: { succeed(): void; fail(error: Error): void }[] = [];
  const open = () => {
    return new Promise<(typeof opened)[number]>((resolve, reject) => {
      pending.push({
        fail: reject,
        succeed: () => {
          const model = {
            id: opened.length,
            closed: false,
            close: () => {
              model.closed = true;
              return Promise.resolve();
            },
          };
          opened.push(model);
          resolve(model);
        },
      });
    });
  };
  return { open, opened, pending };
}

test('leases that come while it loads share one load', async () => {
  const { open, pending } = opener();
  const slot = new Slot(open);
  assert.equal(slot.state, 'absent');
  const leases = [slot.lease(), slot.lease(), slot.lease()];
  assert.equal(slot.state, 'loading');
  assert.equal(pending.length, 1);
  pending[0]!.succeed();
  assert.equal(new Set((await Promise.all(leases)).map(({ model }) => model)).size, 1);
  assert.equal(slot.leases, 3);
  assert.equal(slot.state, 'ready');
});

test('only so many wait for a load; the next are told when to come again', async () => {
  const { open, pending } = opener();
  const slot = new Slot(open);
  const waiting = Array.from({ length: loadWaitersMax }, () => slot.lease());
  await assert.rejects(slot.lease(), (error: ServerError) => error.code === 'MODEL_NOT_READY' && error.retryAfterMs! > 0);
  pending[0]!.succeed();
  for (const lease of await Promise.all(waiting)) lease.release();
  (await slot.lease()).release();
  assert.equal(slot.leases, 0);
});

test('unload waits for the last lease', async () => {
  const { open, opened, pending } = opener();
  const slot = new Slot(open);
  const leasing = slot.lease();
  pending[0]!.succeed();
  const lease = await leasing;
  const gone = slot.unload();
  assert.equal(slot.state, 'draining');
  await turn();
  assert.equal(opened[0]!.closed, false);
  lease.release();
  lease.release();
  await gone;
  assert.equal(opened[0]!.closed, true);
  assert.equal(slot.state, 'absent');
});

test('a lease during draining loads anew, once the old one is gone', async () => {
  const { open, opened, pending } = opener();
  const slot = new Slot(open);
  const first = slot.lease();
  pending[0]!.succeed();
  const lease = await first;
  void slot.unload();
  const second = slot.lease();
  await turn();
  assert.equal(pending.length, 1);
  lease.release();
  while (pending.length < 2) await turn();
  assert.equal(opened[0]!.closed, true);
  pending[1]!.succeed();
  assert.equal((await second).model.id, 1);
});

test('a reload lets the old one serve until the new one answers', async () => {
  const { open, opened, pending } = opener();
  const slot = new Slot(open);
  const first = slot.lease();
  pending[0]!.succeed();
  const lease = await first;
  const reloaded = slot.reload();
  await turn();
  const during = await slot.lease();
  assert.equal(during.model.id, 0);
  pending[1]!.succeed();
  await turn();
  assert.equal((await slot.lease()).model.id, 1);
  assert.equal(opened[0]!.closed, false);
  lease.release();
  during.release();
  await reloaded;
  assert.equal(opened[0]!.closed, true);
});

test('a reload that fails changes nothing', async () => {
  const { open, opened, pending } = opener();
  const slot = new Slot(open);
  const first = slot.lease();
  pending[0]!.succeed();
  (await first).release();
  const reloaded = assert.rejects(slot.reload());
  await turn();
  pending[1]!.fail(new ServerError('BACKEND_FAILED', 'broken'));
  await reloaded;
  assert.equal(slot.state, 'ready');
  assert.equal((await slot.lease()).model, opened[0]);
});

test('reloads go one after another, and those that come meanwhile share the next', async () => {
  const { open, opened, pending } = opener();
  const slot = new Slot(open);
  const leasing = slot.lease();
  pending[0]!.succeed();
  (await leasing).release();
  const first = slot.reload();
  await turn();
  const others = [slot.reload(), slot.reload()];
  await turn();
  assert.equal(pending.length, 2);
  pending[1]!.succeed();
  await first;
  while (pending.length < 3) await turn();
  pending[2]!.succeed();
  await Promise.all(others);
  assert.equal(pending.length, 3);
  assert.deepEqual(opened.map(({ closed }) => closed), [true, true, false]);
});

test('one that is loaded anew counts as used, and an unload meanwhile leaves nothing open', async () => {
  const { open, opened, pending } = opener();
  const slot = new Slot(open);
  const leasing = slot.lease();
  pending[0]!.succeed();
  (await leasing).release();
  const reloading = slot.reload();
  await turn();
  assert.deepEqual([slot.leases, slot.idleMs], [1, 0]);
  const gone = slot.unload();
  pending[1]!.succeed();
  await Promise.all([gone, reloading]);
  assert.deepEqual(opened.map(({ closed }) => closed), [true, true]);
  assert.equal(slot.state, 'absent');
});

test('a failed load is told to all who waited, kept for a while, and then tried again on demand', async () => {
  const { open, pending } = opener();
  const slot = new Slot(open);
  const waiting = [slot.lease(), slot.lease()].map((lease) => assert.rejects(lease, /broken/));
  pending[0]!.fail(new ServerError('MODEL_NOT_READY', 'broken'));
  await Promise.all(waiting);
  assert.equal(slot.state, 'failed');
  await assert.rejects(slot.lease(), (error: ServerError) => error.retryAfterMs! > 0 && error.message === 'broken');
  assert.equal(pending.length, 1);
  const again = slot.reload();
  await turn();
  pending[1]!.succeed();
  await again;
  assert.equal(slot.state, 'ready');
});

test('an unload during a load lets it finish, and requests that waited still get their answer', async () => {
  const { open, pending } = opener();
  const slot = new Slot(open);
  const waiting = slot.lease();
  const gone = slot.unload();
  pending[0]!.succeed();
  const lease = await waiting;
  lease.release();
  await gone;
  assert.ok(['absent', 'ready', 'loading'].includes(slot.state));
});

test('whatever order things happen in, nothing leased is ever closed and no load is doubled', async () => {
  let state = 5;
  const random = (limit: number) => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % limit;
  let live = 0;
  let opening = 0;
  const slot = new Slot(async () => {
    opening += 1;
    await turn();
    live += 1;
    const model = {
      closed: false,
      close: async () => {
        await turn();
        model.closed = true;
        live -= 1;
      },
    };
    opening -= 1;
    if (random(10) === 0) {
      live -= 1;
      throw new ServerError('BACKEND_FAILED');
    }
    return model;
  });
  const users = Array.from({ length: 20 }, async () => {
    for (let i = 0; i < 50; i++) {
      const lease = await slot.lease().catch(() => undefined);
      for (let k = random(3); k > 0; k--) await turn();
      assert.equal(lease?.model.closed ?? false, false);
      lease?.release();
      assert.ok(opening <= 2);
    }
  });
  const operator = (async () => {
    for (let i = 0; i < 60; i++) {
      if (random(2) === 0) await slot.unload();
      else await slot.reload().catch(() => {});
      await turn();
    }
  })();
  await Promise.all([...users, operator]);
  await slot.unload();
  assert.equal(live, 0);
});

test('a lost model is neither leased nor waited for', async () => {
  let closed = 0;
  const slot = new Slot(() => Promise.resolve({ close: () => Promise.resolve(void (closed += 1)) }));
  const lease = await slot.lease();
  slot.lose(new ServerError('MODEL_STUCK'));
  assert.equal(slot.state, 'stuck');
  assert.equal(slot.model, undefined);
  const isStuck = (error: unknown) => error instanceof ServerError && error.code === 'MODEL_STUCK';
  await assert.rejects(slot.lease(), isStuck);
  await assert.rejects(slot.reload(), isStuck);
  await slot.unload();
  lease.release();
  assert.equal(closed, 0);
});
