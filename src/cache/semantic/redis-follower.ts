// Follows the log of changes in Redis and tells the view.
// Invariant: the view has what Redis had after change `#applied`, but for own writes, which it has at once. Whoever
// missed changes, or finds another Redis or another data set than before, reads everything anew.
import type { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { semanticRedisIdleMs, semanticRedisPortion, semanticRedisRetryMs } from '../../limits.ts';
import { changeOf, entryOf, keys, lessonOf, positionLua, scriptKeys, useOf } from './redis-keys.ts';
import type { Change, StoreView } from './store.ts';
import { within } from '../../within.ts';

type Log = { warn(fields: Record<string, unknown>, message: string): void; info(fields: Record<string, unknown>, message: string): void };
type Event = { readonly seq: number; readonly fields: ReadonlyMap<string, string> };

export class RedisFollower {
  readonly #redis: Redis;
  readonly #view: StoreView;
  readonly #origin: string;
  readonly #log: Log;
  #applied = -1;
  #epoch = '';
  /** Of the Redis process: after a restart its data may be older than what was seen. */
  #runId = '';
  #connected = false;
  #closed = false;
  #anew = false;
  #running: Promise<void> | undefined;
  /** Own writes while everything is read: by id, whether the entry is there. */
  #ownWrites: Map<string, boolean> | undefined;
  /** They wait until everything is read. */
  #waiting: (() => void)[] = [];

  constructor(redis: Redis, view: StoreView, { origin, log }: { origin: string; log: Log }) {
    this.#redis = redis;
    this.#view = view;
    this.#origin = origin;
    this.#log = log;
    redis.on('close', () => (this.#connected = false));
  }

  /** Resolves when everything was read once, or after that time. */
  async start(waitMsMax: number): Promise<void> {
    this.#running = this.#run();
    await this.#everythingRead(waitMsMax);
  }

  /** Reads everything anew, at the latest when Redis is back. Resolves as start() does, and at once while Redis is away. */
  async reload(waitMsMax: number): Promise<void> {
    this.#anew = true;
    if (this.#redis.status === 'ready') await this.#everythingRead(waitMsMax);
  }

  /** An own write was acknowledged as change `seq`: the view has it from now on. */
  wrote(changes: readonly Change[], epoch: string, seq: number): void {
    // A put that the log has told already may have been followed by its delete; ids are never put twice.
    const told = epoch === this.#epoch && seq <= this.#applied && this.#ownWrites === undefined;
    for (const change of changes) {
      if (change.kind === 'use' || (told && change.kind !== 'delete')) continue;
      if (change.kind === 'put') this.#ownWrites?.set(change.entry.id, true);
      if (change.kind === 'delete') this.#ownWrites?.set(change.id, false);
      this.#view.apply(change);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#tellRead();
    this.#redis.disconnect();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        if (this.#redis.status !== 'ready') await sleep(semanticRedisRetryMs, undefined, { ref: false });
        else await this.#follow();
      } catch (error) {
        if (this.#closed) return;
        // A lost connection is in the log already.
        if (this.#redis.status === 'ready') this.#log.warn({ err: error }, 'the semantic cache cannot follow its changes in Redis');
        await sleep(semanticRedisRetryMs, undefined, { ref: false });
      }
    }
  }

  async #follow(): Promise<void> {
    if (!this.#connected) await this.#connect();
    const position = await this.#position();
    if (this.#anew || position.epoch !== this.#epoch || position.seq < this.#applied) await this.#readAll();
    for (;;) {
      if (this.#anew || this.#closed) return;
      const events = await this.#news();
      const next = events[0]?.seq ?? position.seq + 1;
      if (next > this.#applied + 1) {
        this.#log.info({ changes: next - this.#applied - 1 }, 'the semantic cache missed changes in Redis and reads everything anew');
        return this.#readAll();
      }
      // Quiet: a data set that was replaced would be quiet for ever.
      if (events.length === 0) return;
      await this.#applyAll(events);
    }
  }

  async #connect(): Promise<void> {
    const runId = /run_id:(\w+)/.exec(await this.#redis.info('server'))?.[1] ?? '';
    if (runId !== this.#runId) this.#anew = true;
    this.#runId = runId;
    this.#connected = true;
  }

  async #position(): Promise<{ epoch: string; seq: number }> {
    const [epoch, seq] = (await this.#redis.eval(positionLua, scriptKeys.length, ...scriptKeys, this.#origin)) as [string, number];
    return { epoch, seq };
  }

  async #news(): Promise<Event[]> {
    const reply = await this.#redis.xread('COUNT', semanticRedisPortion, 'BLOCK', semanticRedisIdleMs, 'STREAMS', keys.log, `${this.#applied}-0`);
    const items = (reply as [string, [string, string[]][]][] | null)?.[0]?.[1] ?? [];
    return items.map(([id, flat]) => {
      const fields = new Map<string, string>();
      for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i]!, flat[i + 1]!);
      return { seq: Number.parseInt(id, 10), fields };
    });
  }

  async #applyAll(events: readonly Event[]): Promise<void> {
    // An entry of a dump is put again under its id: it is read only after its delete has been applied.
    const deleted = new Set<string>();
    const again = events.findIndex(({ fields }) => {
      if (fields.get('k') === 'd') deleted.add(fields.get('i')!);
      return fields.get('k') === 'p' && deleted.has(fields.get('i')!);
    });
    if (again > 0) {
      await this.#applyAll(events.slice(0, again));
      return this.#applyAll(events.slice(again));
    }
    const wanted = new Set<string>();
    for (const { fields } of events) {
      const id = fields.get('i')!;
      const kind = fields.get('k');
      if ((kind === 'p' || kind === 'u') && !this.#view.has(id)) wanted.add(id);
    }
    await this.#read([...wanted]);
    for (const { seq, fields } of events) {
      const change = changeOf(fields);
      const own = fields.get('o') === this.#origin;
      // Own uses were applied when they happened; those of an entry read just now are in what was read.
      const known = change?.kind === 'use' && (own || wanted.has(change.use.id));
      if (change !== undefined && !known) this.#view.apply(change);
      this.#applied = seq;
    }
  }

  /** Tells the view these entries; those that Redis does not have leave. */
  async #read(ids: readonly string[]): Promise<string[]> {
    const there: string[] = [];
    for (let at = 0; at < ids.length; at += semanticRedisPortion) {
      const portion = ids.slice(at, at + semanticRedisPortion);
      const pipeline = this.#redis.pipeline();
      const known = portion.map((id) => this.#view.has(id));
      for (const [i, id] of portion.entries()) {
        if (known[i]) pipeline.hmgetBuffer(keys.entry(id), 'u', 'l', 'x');
        else pipeline.hmgetBuffer(keys.entry(id), 'r', 'u', 'l', 'x');
      }
      const replies = (await pipeline.exec())!;
      for (const [i, id] of portion.entries()) {
        const [error, values] = replies[i]!;
        if (error !== null) throw error;
        const change = (known[i] ? useOf : entryOf)(id, values as (Buffer | null)[]);
        this.#view.apply(change ?? { kind: 'delete', id });
        if (change !== undefined) there.push(id);
      }
    }
    return there;
  }

  async #readAll(): Promise<void> {
    this.#anew = false;
    this.#ownWrites = new Map();
    try {
      const { epoch, seq } = await this.#position();
      const ids = await this.#redis.zrange(keys.ids, '0', '-1');
      const there = new Set(await this.#read(ids));
      for (const [id, present] of this.#ownWrites) {
        if (present) there.add(id);
        else there.delete(id);
      }
      this.#view.retain(there);
      for (const [id, json] of Object.entries(await this.#redis.hgetall(keys.lessons))) {
        this.#view.apply({ kind: 'lesson', lesson: lessonOf(id, json) });
      }
      this.#applied = seq;
      this.#epoch = epoch;
      const gone = ids.filter((id) => !there.has(id));
      // Ended by themselves while no server was there.
      for (let at = 0; at < gone.length; at += semanticRedisPortion) {
        await this.#redis.zrem(keys.ids, ...gone.slice(at, at + semanticRedisPortion));
      }
    } catch (error) {
      this.#anew = true;
      throw error;
    } finally {
      this.#ownWrites = undefined;
    }
    this.#tellRead();
  }

  /** After that time it resolves, too. */
  async #everythingRead(waitMsMax: number): Promise<void> {
    await within(waitMsMax, () => new Promise<void>((resolve) => this.#waiting.push(resolve))).catch(() => undefined);
  }

  #tellRead(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
