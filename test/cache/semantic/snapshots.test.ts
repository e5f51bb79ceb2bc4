// Saved graphs: taken when they are whole and ours, refused and built anew when anything about them is wrong.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LmdbStore } from '../../../src/cache/semantic/lmdb-store.ts';
import { SemanticCache } from '../../../src/cache/semantic/semantic-cache.ts';
import { semanticSaveEveryMs } from '../../../src/limits.ts';
import { countingMetrics, limits, model, partition, put, randoms, silent, vectorOf } from './support.ts';
import { skipUnlessInstalled } from '../../support/programs.ts';
import { until } from '../../support/until.ts';

const skip = skipUnlessInstalled('hnswlib-node');

const questions = Array.from({ length: 300 }, (_, i) => `about thing ${i} and colour ${i * 7} in town ${i * 13}`);

type Opened = { readonly cache: SemanticCache; readonly warnings: string[] };

async function open(directory: string, identity = model.identity): Promise<Opened> {
  const warnings: string[] = [];
  const cache = await SemanticCache.open({
    model: { ...model, identity }, store: new LmdbStore(directory, silent), policy: { mode: 'cosine', threshold: 0.9 }, limits,
    metrics: countingMetrics(), graphs: { directory: join(directory, 'graphs'), rowsMin: 100 },
    log: { info: () => {}, warn: (_, message) => void warnings.push(message) },
  });
  return { cache, warnings };
}

async function checkAll({ cache }: Opened): Promise<void> {
  for (const question of questions) {
    const reversed = question.split(' ').reverse().join(' ');
    const found = await cache.lookup(partition, reversed, async () => vectorOf(reversed));
    assert.ok(found.hit && found.entry.question === question);
  }
}

async function settle({ cache }: Opened): Promise<void> {
  while (cache.stats().entriesInGraphs < questions.length) await sleep(5);
}

async function prepare(t: TestContext): Promise<{ directory: string; graphs: string; file: (extension: string) => string }> {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-semantic-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const first = await open(directory);
  await Promise.all(questions.map((question) => put(first.cache, question)));
  await settle(first);
  await first.cache.close();
  const graphs = join(directory, 'graphs');
  const file = (extension: string) => join(graphs, readdirSync(graphs).find((name) => name.endsWith(extension))!);
  return { directory, graphs, file };
}

test('a saved graph is there at the start, and entries since then are found too', { skip }, async (t) => {
  const { directory, graphs } = await prepare(t);
  assert.equal(readdirSync(graphs).length, 2);
  const second = await open(directory);
  assert.deepEqual(second.warnings, []);
  assert.equal(second.cache.stats().entriesInGraphs, questions.length);
  await checkAll(second);
  // Too few to be worth saving: the next start has an older graph than entries.
  await put(second.cache, 'something new under the sun');
  await second.cache.delete(partition.namespace, { id: second.cache.list(partition.namespace).entries[0]!.id });
  assert.equal(readdirSync(graphs).length, 0, 'a vector of a deleted entry lies on');
  await second.cache.close();
  const third = await open(directory);
  t.after(() => third.cache.close());
  assert.equal(third.cache.stats().entries, questions.length);
  assert.ok((await third.cache.lookup(partition, 'sun the under new something', async () => vectorOf('something new under the sun'))).hit);
});

test('a saved graph with any byte changed, cut, or of another kind is refused, and all is found', { skip }, async (t) => {
  const { directory, file } = await prepare(t);
  const [hnsw, json] = [readFileSync(file('.hnsw')), readFileSync(file('.json'))];
  const [hnswFile, jsonFile] = [file('.hnsw'), file('.json')];
  const random = randoms(3);
  const flipped = (bytes: Buffer) => {
    const changed = Buffer.from(bytes);
    changed[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8);
    return changed;
  };
  const damages: (() => void)[] = [
    ...Array.from({ length: 8 }, () => () => writeFileSync(hnswFile, flipped(hnsw))),
    ...Array.from({ length: 4 }, () => () => writeFileSync(jsonFile, flipped(json))),
    () => truncateSync(hnswFile, hnsw.length - 100),
    () => truncateSync(jsonFile, 70),
    () => writeFileSync(hnswFile, ''),
    () => rmSync(hnswFile),
    () => writeFileSync(jsonFile, JSON.stringify({ version: 1 })),
  ];
  for (const damage of damages) {
    writeFileSync(hnswFile, hnsw);
    writeFileSync(jsonFile, json);
    damage();
    const opened = await open(directory);
    assert.deepEqual(opened.warnings, ['a saved graph of the semantic cache is refused and built anew']);
    await checkAll(opened);
    await settle(opened);
    await checkAll(opened);
    await opened.cache.close();
  }
});

test('a graph of another model is never compared with', { skip }, async (t) => {
  const { directory, graphs } = await prepare(t);
  const other = await open(directory, 'words-2');
  assert.equal(other.cache.stats().entriesInGraphs, 0);
  const found = await other.cache.lookup(partition, 'anything', async () => vectorOf(questions[0]!));
  assert.deepEqual(found, { hit: false });
  await other.cache.close();
  assert.equal(readdirSync(graphs).length, 0);
});

test('a graph is saved under the model of its vectors after another one took its place', { skip }, async (t) => {
  const { directory, graphs } = await prepare(t);
  t.mock.timers.enable({ apis: ['setInterval'] });
  const opened = await open(directory);
  t.after(() => opened.cache.close());
  await opened.cache.useModel({ ...model, identity: 'words-2' });
  await Promise.all(questions.map((question) => put(opened.cache, `${question} again`)));
  await settle(opened);
  t.mock.timers.tick(semanticSaveEveryMs);
  const descriptions = () => readdirSync(graphs).filter((name) => name.endsWith('.json'));
  await until(() => descriptions().length > 0, 'it is saved');
  const [, facts] = readFileSync(join(graphs, descriptions()[0]!), 'utf8').split('\n');
  assert.equal((JSON.parse(facts!) as { model: string }).model, 'words-2');
});
