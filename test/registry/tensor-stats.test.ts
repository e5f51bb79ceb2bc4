import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TensorStats, timeSummary } from '../../src/registry/tensor-stats.ts';

test('percentiles are times that were measured', () => {
  const times = Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.deepEqual(timeSummary(times), { count: 100, meanMs: 50.5, p50Ms: 50, p95Ms: 95, maxMs: 100 });
  assert.deepEqual(timeSummary([7]), { count: 1, meanMs: 7, p50Ms: 7, p95Ms: 7, maxMs: 7 });
  assert.deepEqual(timeSummary([]), { count: 0, meanMs: 0, p50Ms: 0, p95Ms: 0, maxMs: 0 });
});

test('counts all and keeps the times of the latest', () => {
  const stats = new TensorStats();
  for (let i = 0; i < 3000; i++) stats.answered({ queueMs: 0, runMs: i, metrics: new Map([['ratio', i % 2]]) });
  stats.failed('BACKEND_FAILED');
  assert.deepEqual([stats.requests, stats.failures], [3001, 1]);
  assert.deepEqual([stats.times.count, stats.times.maxMs], [1024, 2999]);
  assert.deepEqual([...stats.metricMeans], [['ratio', 0.5]]);
  assert.ok(stats.lastUsedMs! <= Date.now());
});
