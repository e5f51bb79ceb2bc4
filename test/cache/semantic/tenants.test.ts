// Two tenants with the same questions, through everything that moves entries: never one's answer for the other.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LmdbStore } from '../../../src/cache/semantic/lmdb-store.ts';
import { SemanticCache } from '../../../src/cache/semantic/semantic-cache.ts';
import type { Partition } from '../../../src/cache/semantic/types.ts';
import { bytes, countingMetrics, model, randoms, silent, textOf, vectorOf } from './support.ts';
import { skipUnlessInstalled } from '../../support/programs.ts';

const skip = skipUnlessInstalled('hnswlib-node');

const operations = 10_000;
const restarts = 10;
const words = ['red', 'green', 'tall', 'small', 'house', 'river', 'north', 'south'];

test(`in ${operations} operations with restarts, growth, deletes and slots used again no tenant hits another's entry`, { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-tenants-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const random = randoms(20);
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
  const places: Partition[] = ['alice', 'bob'].flatMap((namespace) => ['k1', 'k2'].map((key) => ({ namespace, key })));
  // Both keys' entries of one tenant share its bound, and graphs begin early, so that all of that happens.
  const open = () => SemanticCache.open({
    model, store: new LmdbStore(directory, silent), policy: { mode: 'cosine', threshold: 0.9 }, log: silent, metrics: countingMetrics(),
    limits: { entriesMaxPerNamespace: 150, bytesMaxPerNamespace: 1e9, bytesMax: 1e9 },
    graphs: { directory: join(directory, 'graphs'), rowsMin: 40 },
  });
  let cache = await open();
  t.after(() => cache.close());
  const owners = new Map<string, string>();
  const tally = { exact: 0, semantic: 0, miss: 0, deleted: 0, graphs: 0 };
  for (let operation = 1; operation <= operations; operation += 1) {
    const place = pick(places);
    const other = place.namespace === 'alice' ? 'bob' : 'alice';
    const question = `${pick(words)} ${pick(words)} ${pick(words)}`;
    const kind = random();
    if (kind < 0.3) {
      const answer = `${place.namespace} ${place.key}`;
      const entry = await cache.put(place, { question, vector: vectorOf(question), answer: bytes(answer), tags: [pick(words)] });
      owners.set(entry.id, answer);
    } else if (kind < 0.9) {
      const found = await cache.lookup(place, question, async () => vectorOf(question));
      tally[found.hit ? found.tier : 'miss'] += 1;
      if (found.hit) {
        assert.equal(textOf(found.entry.answer), `${place.namespace} ${place.key}`);
        assert.deepEqual(found.entry.partition, place);
        assert.equal(owners.get(found.entry.id), `${place.namespace} ${place.key}`);
        assert.equal(cache.get(other, found.entry.id), undefined);
      } else if (found.nearest !== undefined) {
        assert.equal(owners.get(found.nearest.id), `${place.namespace} ${place.key}`, 'even what is near must be the own');
      }
    } else if (kind < 0.97) {
      const before = cache.list(other).total;
      const { entries } = cache.list(place.namespace, { limit: 1, offset: Math.floor(random() * 150) });
      const id = entries[0]?.id ?? 'none';
      assert.equal(await cache.delete(other, { id }), 0);
      tally.deleted += await cache.delete(place.namespace, random() < 0.1 ? { tag: pick(words) } : { id });
      assert.equal(cache.list(other).total, before);
    } else {
      const [id, owner] = pick([...owners]);
      if (!owner.startsWith(place.namespace)) assert.equal(await cache.feedback(place.namespace, id, { wrong: true }), false);
    }
    tally.graphs = Math.max(tally.graphs, cache.stats().entriesInGraphs);
    if (operation % (operations / restarts) !== 0) continue;
    await cache.close();
    cache = await open();
  }
  assert.ok(tally.exact > 50 && tally.semantic > 500 && tally.miss > 500 && tally.deleted > 300 && tally.graphs > 80, JSON.stringify(tally));
});
