import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Graphs } from '../../../src/cache/semantic/graphs.ts';
import { VectorIndex } from '../../../src/cache/semantic/vector-index.ts';
import { Best, unitVector, VectorRows } from '../../../src/cache/semantic/vector-rows.ts';
import { randoms, silent } from './support.ts';
import { skipUnlessInstalled } from '../../support/programs.ts';

const skip = skipUnlessInstalled('hnswlib-node');

const dimension = 24;
type Owner = { readonly name: number };

/** What a scan of plain arrays finds. */
function nearestByTheBook(rows: ReadonlyMap<Owner, Float32Array>, unit: Float32Array): { owner: Owner; similarity: number } {
  let best: { owner: Owner; similarity: number } | undefined;
  for (const [owner, row] of rows) {
    const similarity = row.reduce((sum, value, i) => sum + value * unit[i]!, 0);
    if (best === undefined || similarity > best.similarity) best = { owner, similarity };
  }
  return best!;
}

function newIndex(t: TestContext, rowsMin: number): VectorIndex<Owner> {
  const graphs = new Graphs(rowsMin, silent);
  const index = new VectorIndex<Owner>(dimension, graphs, false);
  t.after(async () => {
    index.close();
    await graphs.close();
  });
  return index;
}

async function settle(index: VectorIndex<Owner>): Promise<void> {
  while (!index.settled) await sleep(2);
}

test('the best are kept in order, whatever the order they come in', () => {
  const best = new Best<Owner>(3);
  for (const [slot, similarity] of [0.1, 0.9, 0.5, 0.7, 0.2, 0.95].entries()) best.offer({ name: slot }, slot, similarity);
  assert.deepEqual(best.found.map(({ slot }) => slot), [5, 1, 3]);
});

test('slots are used again and belong to their new owner only', () => {
  const rows = new VectorRows<Owner>(2);
  const [a, b] = [{ name: 1 }, { name: 2 }];
  const slot = rows.add(a, Float32Array.of(1, 0));
  rows.remove(slot);
  rows.remove(slot);
  assert.equal(rows.size, 0);
  assert.equal(rows.add(b, Float32Array.of(0, 1)), slot);
  assert.equal(rows.owner(slot), b);
  assert.deepEqual(rows.row(slot), Float32Array.of(0, 1));
  assert.equal(rows.similarity(slot, Float32Array.of(0, 1)), 1);
  assert.notEqual(rows.add(a, Float32Array.of(1, 0)), slot);
});

for (const rowsMin of [1e9, 50]) {
  test(`what is found is the nearest that is there, while rows come and go, ${rowsMin === 50 ? 'with a graph' : 'by scanning'}`, { skip: rowsMin === 50 && skip }, async (t) => {
    const random = randoms(7);
    const vector = () => unitVector(Float32Array.from({ length: dimension }, () => random() - 0.5), dimension);
    const index = newIndex(t, rowsMin);
    const rows = new Map<Owner, Float32Array>();
    const slots = new Map<Owner, number>();
    let found = 0;
    let searched = 0;
    for (let step = 0; step < 3000; step += 1) {
      if (random() < 0.6 || rows.size === 0) {
        const owner = { name: step };
        const row = vector();
        rows.set(owner, row);
        slots.set(owner, index.add(owner, row));
      } else {
        const owner = [...rows.keys()][Math.floor(random() * rows.size)]!;
        index.remove(slots.get(owner)!);
        rows.delete(owner);
      }
      if (step === 1500) await settle(index);
      if (step % 10 !== 0 || rows.size === 0) continue;
      const unit = vector();
      const best = nearestByTheBook(rows, unit);
      const [first] = await index.nearest(unit, 4);
      assert.ok(first !== undefined && rows.has(first.owner));
      const own = rows.get(first.owner)!.reduce((sum, value, i) => sum + value * unit[i]!, 0);
      assert.ok(Math.abs(first.similarity - own) < 1e-5, 'a similarity that is not the row\'s own');
      searched += 1;
      if (first.owner === best.owner) found += 1;
    }
    assert.equal(index.size, rows.size);
    await settle(index);
    assert.equal(index.graphSize, rowsMin === 50 ? rows.size : 0);
    assert.ok(found >= searched * (rowsMin === 50 ? 0.98 : 1), `${found} of ${searched}`);
  });
}

test('removed rows are not found though the graph still has them, and a graph full of them is built anew', { skip }, async (t) => {
  const random = randoms(9);
  const index = newIndex(t, 100);
  const vector = () => unitVector(Float32Array.from({ length: dimension }, () => random() - 0.5), dimension);
  const rows = Array.from({ length: 400 }, (_, name) => ({ owner: { name }, row: vector() }));
  const slots = rows.map(({ owner, row }) => index.add(owner, row));
  await settle(index);
  for (const slot of slots.slice(0, 200)) index.remove(slot);
  for (const { owner, row } of rows) {
    const [first] = await index.nearest(row, 1);
    assert.equal(first?.owner === owner, owner.name >= 200);
  }
  await settle(index);
  assert.equal(index.graphSize, 200);
  for (const slot of slots.slice(200, 380)) index.remove(slot);
  assert.equal(index.graphSize, 0);
  assert.equal((await index.nearest(rows[390]!.row, 1))[0]?.owner, rows[390]!.owner);
});

test('a row that takes the place of another while a saved graph is read is found', { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-graph-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const graphs = new Graphs(50, silent);
  const [saved, index] = [new VectorIndex<Owner>(dimension, graphs, false), new VectorIndex<Owner>(dimension, graphs, true)];
  t.after(async () => {
    for (const each of [saved, index]) each.close();
    await graphs.close();
  });
  const random = randoms(1);
  const unit = () => unitVector(Float32Array.from({ length: dimension }, () => random() - 0.5), dimension);
  const slots = new Map<Owner, number>();
  for (let name = 0; name < 2000; name += 1) {
    const [owner, row] = [{ name }, unit()];
    saved.add(owner, row);
    slots.set(owner, index.add(owner, row));
  }
  await settle(saved);
  const file = join(directory, 'graph');
  const { sha256, owners } = (await saved.save(file))!;
  const loading = index.load(file, sha256, owners.map((owner) => slots.get(owner!)!));
  const [owner, row] = [{ name: -1 }, unit()];
  index.remove(7);
  assert.equal(index.add(owner, row), 7);
  await loading;
  await settle(index);
  assert.equal(index.graphSize, 2000);
  assert.equal((await index.nearest(row, 1))[0]!.owner, owner);
});
