import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../../src/metrics.ts';

test('lookups, searches, reports and what was saved are counted, from zero', async () => {
  const metrics = new Metrics('1');
  const { semantic } = metrics;
  assert.match(await metrics.registry.metrics(), /ortserve_semantic_lookups_total\{outcome="refused"\} 0/);
  semantic.looked('exact');
  semantic.looked('refused');
  semantic.searched(0.2);
  semantic.falseHit();
  semantic.left('evicted', 3);
  semantic.saved(1500, 42);
  const text = await metrics.registry.metrics();
  for (const line of [
    'ortserve_semantic_lookups_total{outcome="exact"} 1', 'ortserve_semantic_lookups_total{outcome="refused"} 1',
    'ortserve_semantic_search_duration_seconds_count 1', 'ortserve_semantic_false_hits_total 1',
    'ortserve_semantic_entries_left_total{reason="evicted"} 3', 'ortserve_semantic_saved_upstream_seconds_total 1.5',
    'ortserve_semantic_saved_tokens_total 42',
  ]) assert.ok(text.includes(line), line);
});

test('however many namespaces there are, only the largest have a label, and the others are counted together', async () => {
  const metrics = new Metrics('1');
  const namespaces = Array.from({ length: 10_000 }, (_, i) => ({ namespace: `tenant-${i}`, entries: i, bytes: i * 100 }));
  metrics.semantic.watch(() => ({ namespaces, entriesInGraphs: 7, entriesOfOtherModels: 2 }));
  const text = await metrics.registry.metrics();
  assert.equal([...text.matchAll(/^ortserve_semantic_entries\{/gm)].length, 21);
  assert.ok(text.includes('ortserve_semantic_entries{namespace="tenant-9999"} 9999'));
  const others = namespaces.slice(0, -20).reduce((sum, { entries }) => sum + entries, 0);
  assert.ok(text.includes(`ortserve_semantic_entries{namespace="_others"} ${others}`));
  assert.ok(text.includes('ortserve_semantic_graph_entries 7') && text.includes('ortserve_semantic_other_model_entries 2'));
});
