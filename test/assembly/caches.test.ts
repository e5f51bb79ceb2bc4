// The semantic cache as the options make it.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openSemanticCache, type SemanticJudges } from '../../src/assembly/caches.ts';
import { noModel, type VectorModel } from '../../src/cache/semantic/vector-model.ts';
import { configOf } from '../../src/config.ts';
import { semanticGraphRowsMin } from '../../src/limits.ts';
import { createLog } from '../../src/log.ts';
import { Metrics } from '../../src/metrics.ts';
import { skipUnlessInstalled } from '../support/programs.ts';
import { until } from '../support/until.ts';

const skip = skipUnlessInstalled('hnswlib-node');

const judges: SemanticJudges = {
  judgeOf: (mode, threshold) => ({ similarity }) => ({ same: similarity > 0.9, score: similarity, reason: `${mode} ${threshold}` }),
  learning: { start: () => 0, observe: () => 0, decide: () => 'exploit' },
};
const partition = { namespace: 'one', key: '' };
const model = { identity: 'm', dimension: 2 };
const answer = new Uint8Array(1);

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-caches-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('mode, threshold, bounds and time come from the options', async (t) => {
  const directory = temporaryDirectory(t);
  const log = createLog({ logLevel: 'silent' });
  const open = async (values: Parameters<typeof configOf>[0], given?: SemanticJudges) => {
    const cache = await openSemanticCache(configOf({ dataDirectory: directory, ...values }), model, new Metrics('1'), log, given);
    const { mode, threshold, entriesMaxPerNamespace } = cache.stats();
    const entry = await cache.put(partition, { question: 'q', vector: Float32Array.of(1, 1), answer });
    const found = await cache.lookup(partition, 'p', async () => Float32Array.of(1, 2));
    await cache.close();
    return { mode, threshold, entriesMaxPerNamespace, lives: entry.ttlMs, sliding: entry.sliding, reason: found.hit ? found.reason : 'miss' };
  };
  assert.deepEqual(await open({ semanticMode: 'cosine' }), {
    mode: 'cosine', threshold: 0.85, entriesMaxPerNamespace: 1000, lives: undefined, sliding: false, reason: 'cosine 0.9487 >= 0.85' });
  assert.deepEqual(await open({ semanticTtlMs: 5000, semanticSliding: true, semanticEntriesMax: 7 }, judges), {
    mode: 'verified', threshold: 0.35, entriesMaxPerNamespace: 7, lives: 5000, sliding: true, reason: 'cosine 0.9487; verified undefined' });
  const { reason } = await open({ semanticMode: 'guarded' }, judges);
  assert.equal(reason, 'cosine 0.9487; guarded 0.8');
  assert.equal((await open({ semanticMode: 'guarded', similarityThreshold: 0.95 }, judges)).reason, 'miss');
});

test('by default the verdict decides: a reworded question is a hit, the opposite one is not, and both say why', async (t) => {
  const directory = temporaryDirectory(t);
  const cache = await openSemanticCache(configOf({ dataDirectory: directory }), model, new Metrics('1'), createLog({ logLevel: 'silent' }));
  t.after(() => cache.close());
  await cache.put(partition, { question: 'How do I enable dark mode in the settings?', vector: Float32Array.of(1, 1), answer });
  const ask = (question: string) => cache.lookup(partition, question, async () => Float32Array.of(1, 1.2));
  const same = await ask('How can I enable dark mode in the settings?');
  assert.ok(same.hit && same.tier === 'semantic');
  const opposite = await ask('How do I disable dark mode in the settings?');
  assert.ok(!opposite.hit && /enable.*disable|disable.*enable/.test(opposite.nearest!.reason), JSON.stringify(opposite));
});

/** `given` noModel is how a server opens it: the model is told with the first question. */
function open(directory: string, given: VectorModel) {
  const config = configOf({ dataDirectory: directory, semanticEntriesMax: 10_000 });
  return openSemanticCache(config, given, new Metrics('1'), createLog({ logLevel: 'silent' }), judges);
}

test('a file with questions that have no vector is opened before any model is known', async (t) => {
  const directory = temporaryDirectory(t);
  const first = await open(directory, noModel);
  await first.useModel(model);
  await first.put(partition, { question: 'too long to compare', vector: undefined, answer });
  await first.close();
  const second = await open(directory, noModel);
  t.after(() => second.close());
  assert.ok((await second.lookup(partition, 'too long to compare', async () => undefined)).hit);
});

test('saved graphs outlast the time before a model is known, unless something of theirs is deleted', { skip }, async (t) => {
  const directory = temporaryDirectory(t);
  const graphs = join(directory, 'semantic', 'graphs');
  const first = await open(directory, model);
  const entries = Array.from({ length: semanticGraphRowsMin }, (_, i) => ({ question: `question ${i}`, vector: Float32Array.of(Math.sin(i), Math.cos(i)), answer }));
  await Promise.all(entries.map((entry) => first.put(partition, entry)));
  await until(() => first.stats().entriesInGraphs === entries.length, 'all are in the graph', 60_000);
  await first.close();
  const saved = readdirSync(graphs);
  assert.equal(saved.length, 2);

  const second = await open(directory, noModel);
  assert.deepEqual(readdirSync(graphs), saved);
  await second.useModel(model);
  assert.equal(second.stats().entriesInGraphs, entries.length);
  await second.close();

  const third = await open(directory, noModel);
  t.after(() => third.close());
  await third.delete(partition.namespace, { id: third.list(partition.namespace).entries[0]!.id });
  assert.deepEqual(readdirSync(graphs), [], 'a vector of a deleted entry lies on');
});
