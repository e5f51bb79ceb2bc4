// Servers that share one Redis: they agree within a second, whoever was away, and Redis is the truth.
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { RedisStore } from '../../../src/cache/semantic/redis-store.ts';
import { RedisServer, skipUnlessRedis } from '../../support/redis-server.ts';
import { until } from '../../support/until.ts';
import type { ReplicaRequest } from './replica.ts';
import { model, openCache, partition, put, silent, vectorOf } from './support.ts';

const skip = skipUnlessRedis();
const replicaFile = fileURLToPath(new URL('./replica.js', import.meta.url));
/** What "within a second" allows; waiting ends as soon as it holds. */
const withinMs = 1000;
/** On a busy machine, after a restart of Redis or of a process. */
const recoverMs = 10_000;

class Replica {
  readonly child: ChildProcess;
  readonly #waiting = new Map<number, (reply: { value?: unknown; error?: string }) => void>();
  #number = 0;

  constructor(url: string) {
    this.child = fork(replicaFile, [url]);
    this.child.on('message', (reply: { number: number; value?: unknown; error?: string }) => this.#waiting.get(reply.number)?.(reply));
  }

  async ready(): Promise<this> {
    await new Promise((resolve) => this.#waiting.set(-1, resolve));
    return this;
  }

  async ask(request: ReplicaRequest): Promise<unknown> {
    const number = this.#number++;
    const reply = await new Promise<{ value?: unknown; error?: string }>((resolve) => {
      this.#waiting.set(number, resolve);
      this.child.send({ number, request });
    });
    if (reply.error !== undefined) throw new Error(reply.error);
    return reply.value;
  }

  async ids(): Promise<string[]> {
    return ((await this.ask({ kind: 'ids' })) as string[]).sort();
  }
}

async function setUp(t: TestContext, count: number, folder?: string): Promise<{ redis: RedisServer; replicas: Replica[] }> {
  const redis = await RedisServer.start(t, folder);
  const replicas = Array.from({ length: count }, () => new Replica(redis.url));
  t.after(() => {
    for (const { child } of replicas) child.kill('SIGKILL');
  });
  await Promise.all(replicas.map((replica) => replica.ready()));
  return { redis, replicas };
}

async function agree(replicas: readonly Replica[], ids: readonly string[], ms: number): Promise<void> {
  const wanted = [...ids].sort().join();
  for (const [i, replica] of replicas.entries()) {
    await until(async () => (await replica.ids()).join() === wanted, `server ${i} has the same entries`, ms);
  }
}

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-redis-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('what one server puts or deletes, the others hit or miss within a second', { skip }, async (t) => {
  const { replicas } = await setUp(t, 3);
  const [a, b, c] = replicas as [Replica, Replica, Replica];
  for (let i = 0; i < 20; i += 1) {
    const question = `the question number ${i} of all`;
    const id = (await a.ask({ kind: 'put', question })) as string;
    assert.equal(await a.ask({ kind: 'lookup', question }), 'exact');
    for (const other of [b, c]) {
      await until(async () => (await other.ask({ kind: 'lookup', question })) === 'exact', 'it is hit', withinMs);
      assert.equal(await other.ask({ kind: 'lookup', question: `all of ${i} number question the` }), 'semantic');
    }
    assert.equal(await b.ask({ kind: 'delete', id }), 1);
    assert.equal(await b.ask({ kind: 'lookup', question }), 'miss');
    for (const other of [a, c]) {
      await until(async () => (await other.ask({ kind: 'lookup', question })) === 'miss', 'it is hit no more', withinMs);
    }
  }
});

test('of the same text put on all servers at once, one entry stays, and all have the same', { skip }, async (t) => {
  const { replicas } = await setUp(t, 3);
  for (let i = 0; i < 10; i += 1) await Promise.all(replicas.map((replica) => replica.ask({ kind: 'put', question: `question ${i}` })));
  await until(async () => {
    const all = await Promise.all(replicas.map((replica) => replica.ids()));
    return all.every((ids) => ids.length === 10 && ids.join() === all[0]!.join());
  }, 'all agree', recoverMs);
});

test('a server that was away catches up, by the log or, when that was cut, by reading everything', { skip }, async (t) => {
  const { replicas } = await setUp(t, 3);
  const [a, b, c] = replicas as [Replica, Replica, Replica];
  const ids = new Set<string>();
  const put = async (replica: Replica, question: string) => void ids.add((await replica.ask({ kind: 'put', question })) as string);
  for (let i = 0; i < 10; i += 1) await put(c, `before ${i}`);
  for (const changes of [20, 400]) {
    await agree([c], [...ids], recoverMs);
    c.child.kill('SIGSTOP');
    for (let i = 0; i < changes; i += 1) await put(i % 2 ? a : b, `while away ${changes} ${i}`);
    for (const id of [...ids].slice(0, changes / 4)) {
      await a.ask({ kind: 'delete', id });
      ids.delete(id);
    }
    c.child.kill('SIGCONT');
    await agree(replicas, [...ids], recoverMs);
  }
});

test('Redis killed amid writes and restarted with its file: no acknowledged entry is lost, no deleted one returns', { skip }, async (t) => {
  const { redis, replicas } = await setUp(t, 3, temporaryDirectory(t));
  const acknowledged = new Set<string>();
  const unknown = new Set<string>();
  const deleted = new Set<string>();
  for (let round = 0; round < 3; round += 1) {
    let killed = false;
    const work = replicas.map(async (replica, r) => {
      for (let i = 0; !killed; i += 1) {
        const id = (await replica.ask({ kind: 'put', question: `question ${round} ${r} ${i}` }).catch(() => undefined)) as string | undefined;
        if (id === undefined) return;
        acknowledged.add(id);
        if (i % 4 !== 0) continue;
        const gone = await replica.ask({ kind: 'delete', id }).catch(() => undefined);
        (gone === undefined ? unknown : deleted).add(id);
      }
    });
    await sleep(150);
    await redis.kill();
    killed = true;
    await Promise.all(work);
    const known = (await replicas[0]!.ids())[0]!;
    await assert.rejects(replicas[0]!.ask({ kind: 'put', question: 'while away' }), /BACKEND_FAILED/);
    await assert.rejects(replicas[0]!.ask({ kind: 'delete', id: known }), /BACKEND_FAILED/);
    assert.ok((await replicas[0]!.ids()).includes(known), 'a hit needs no Redis');
    await redis.startAgain();
    await until(() => replicas[0]!.ask({ kind: 'put', question: `again ${round}` }).then((id) => {
      acknowledged.add(id as string);
      return true;
    }, () => false), 'one can put again', recoverMs);
  }
  assert.ok(acknowledged.size > 20 && deleted.size > 3);
  await until(async () => {
    const all = await Promise.all(replicas.map((replica) => replica.ids()));
    return all.every((ids) => ids.join() === all[0]!.join());
  }, 'all agree', recoverMs);
  const there = new Set(await replicas[0]!.ids());
  for (const id of deleted) assert.ok(!there.has(id), 'a deleted entry returned');
  for (const id of acknowledged) assert.ok(there.has(id) || deleted.has(id) || unknown.has(id), 'an acknowledged entry is lost');
});

test('Redis restarted empty: nothing comes back from the memory of the servers, and they agree on what is put then', { skip }, async (t) => {
  const { redis, replicas } = await setUp(t, 3);
  for (let i = 0; i < 30; i += 1) await replicas[i % 3]!.ask({ kind: 'put', question: `question ${i}` });
  await redis.kill();
  await redis.startAgain();
  await agree(replicas, [], recoverMs);
  const ids: string[] = [];
  for (let i = 0; i < 60; i += 1) ids.push((await replicas[i % 3]!.ask({ kind: 'put', question: `new ${i}` })) as string);
  await agree(replicas, ids, recoverMs);
});

test('Redis emptied under running servers: they are empty too, and follow what comes then', { skip }, async (t) => {
  const { redis, replicas } = await setUp(t, 2);
  for (let i = 0; i < 20; i += 1) await replicas[i % 2]!.ask({ kind: 'put', question: `question ${i}` });
  await redis.client.flushall();
  await agree(replicas, [], recoverMs);
  const id = (await replicas[0]!.ask({ kind: 'put', question: 'after' })) as string;
  await agree(replicas, [id], recoverMs);
});

test('a change that Redis refuses costs no later one', { skip }, async (t) => {
  const redis = await RedisServer.start(t);
  const store = new RedisStore({ url: redis.url, log: silent });
  const cache = await openCache(t, { store });
  const { id } = await put(cache, 'one');
  const use = { id, uses: 1, lastUsedMs: Date.now() };
  await assert.rejects(store.write([{ kind: 'use', use: { ...use, expiresMs: 2e12 } }, { kind: 'use', use: { ...use, expiresMs: 1e21 } }]));
  await put(cache, 'two');
});

test('while Redis hangs, everything is read anew when it is back, and nobody waits for that', { skip }, async (t) => {
  const redis = await RedisServer.start(t);
  const store = new RedisStore({ url: redis.url, log: silent });
  const cache = await openCache(t, { store });
  await put(cache, 'one');
  redis.freeze();
  t.after(() => redis.thaw());
  const waited = await Promise.race([
    Promise.all([cache.useModel({ ...model, identity: 'words-2' }), cache.useModel(model)]).then(() => true),
    sleep(recoverMs, false, { ref: false }),
  ]);
  assert.ok(waited, 'it waits for Redis');
  redis.thaw();
  await until(() => cache.list(partition.namespace).total === 1, 'it is read', recoverMs);
});

test('an entry that is put again under its id is there, however soon after its delete', { skip }, async (t) => {
  const redis = await RedisServer.start(t);
  const stores = [new RedisStore({ url: redis.url, log: silent }), new RedisStore({ url: redis.url, log: silent })] as const;
  const [one, other] = [await openCache(t, { store: stores[0] }), await openCache(t, { store: stores[1] })];
  const entry = await put(one, 'one');
  await stores[0].write([{ kind: 'delete', id: entry.id }, { kind: 'put', entry, vector: vectorOf('one') }]);
  const { id } = await put(one, 'last');
  await until(() => other.get(partition.namespace, id) !== undefined, 'the other one has all', recoverMs);
  for (const cache of [one, other]) assert.ok(cache.get(partition.namespace, entry.id) !== undefined);
});

test('connections that died without a word are replaced, and what came meanwhile is there', { skip }, async (t) => {
  const redis = await RedisServer.start(t);
  const sockets: Socket[] = [];
  const proxy = createServer((near) => {
    const far = connect(redis.port, '127.0.0.1');
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on('error', () => {});
    sockets.push(near, far);
  }).listen(0, '127.0.0.1');
  t.after(() => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(proxy, 'listening');
  const behind = await openCache(t, { store: new RedisStore({ url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`, log: silent }) });
  const other = await openCache(t, { store: new RedisStore({ url: redis.url, log: silent }) });
  for (const socket of sockets) socket.unpipe().pause();
  const { id } = await put(other, 'one');
  await until(() => behind.get(partition.namespace, id) !== undefined, 'the other one has it', recoverMs);
  await until(() => put(behind, 'two').then(() => true, () => false), 'it can put', recoverMs);
});

test('a server that starts later has everything, and one that ends lets its process end', { skip }, async (t) => {
  const { redis, replicas: [first] } = await setUp(t, 1);
  for (let i = 0; i < 300; i += 1) await first!.ask({ kind: 'put', question: `question ${i}` });
  const late = await new Replica(redis.url).ready();
  t.after(() => late.child.kill('SIGKILL'));
  assert.deepEqual(await late.ids(), await first!.ids());
  const exited = once(late.child, 'exit');
  await late.ask({ kind: 'close' });
  assert.deepEqual(await exited, [0, null]);
});

test('a server that starts without Redis answers, and has everything when Redis comes', { skip }, async (t) => {
  const { redis, replicas: [first] } = await setUp(t, 1, temporaryDirectory(t));
  const id = (await first!.ask({ kind: 'put', question: 'a question' })) as string;
  await redis.kill();
  const late = await new Replica(redis.url).ready();
  t.after(() => late.child.kill('SIGKILL'));
  assert.equal(await late.ask({ kind: 'lookup', question: 'a question' }), 'miss');
  await assert.rejects(late.ask({ kind: 'put', question: 'another' }), /BACKEND_FAILED/);
  // It may be there, so nobody is told that it is not.
  await assert.rejects(late.ask({ kind: 'delete', id }), /BACKEND_FAILED/);
  await redis.startAgain();
  await agree([first!, late], [id], recoverMs);
});

test('any number of entries that ended while no server was there are passed over', { skip }, async (t) => {
  const redis = await RedisServer.start(t);
  const ended = Array.from({ length: 200_000 }, (_, i) => `ended-${i}`);
  for (let at = 0; at < ended.length; at += 10_000) {
    await redis.client.zadd('ortserve:{semantic}:ids', ...ended.slice(at, at + 10_000).flatMap((id) => ['1', id]));
  }
  const cache = await openCache(t, { store: new RedisStore({ url: redis.url, log: silent }) });
  await until(async () => (await redis.client.zcard('ortserve:{semantic}:ids')) === 0, 'their ids are gone', recoverMs);
  await put(cache, 'a question');
});
