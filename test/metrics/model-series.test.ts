import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../../src/metrics.ts';

test('loads, evictions and inferences are counted, and states are read at each scrape', async () => {
  const metrics = new Metrics('0.0.0');
  const { models } = metrics;
  const facts = [
    { model: 'org/texts', version: '', loaded: true, fileBytes: 23, pending: undefined },
    { model: 'compressor', version: '1.0', loaded: false, fileBytes: 42, pending: 3 },
  ];
  models.watch({ models: () => facts, loadedMax: 5 });
  models.loaded('org/texts', '', 250);
  models.loadFailed('compressor', '1.0');
  models.evicted('ttl');
  const series = models.tensor('compressor', '1.0');
  series.answered(4, 20);
  series.failed('QUEUE_FULL');

  const text = await metrics.registry.metrics();
  const lines = new Set(text.split('\n'));
  for (const line of [
    'ortserve_model_loads_total{model="org/texts",version="",outcome="success"} 1',
    'ortserve_model_loads_total{model="compressor",version="1.0",outcome="failure"} 1',
    'ortserve_model_load_duration_seconds_sum{model="org/texts",version=""} 0.25',
    'ortserve_model_evictions_total{reason="ttl"} 1',
    'ortserve_model_evictions_total{reason="lru"} 0',
    'ortserve_tensor_requests_total{model="compressor",version="1.0"} 2',
    'ortserve_tensor_failures_total{model="compressor",version="1.0",code="QUEUE_FULL"} 1',
    'ortserve_tensor_inference_duration_seconds_sum{model="compressor",version="1.0"} 0.02',
    'ortserve_tensor_queue_duration_seconds_sum{model="compressor",version="1.0"} 0.004',
    'ortserve_tensor_runs_pending{model="compressor",version="1.0"} 3',
    'ortserve_tensor_model_ready{model="compressor",version="1.0"} 0',
    'ortserve_model_file_bytes{model="org/texts",version=""} 23',
    'ortserve_models_loaded 1',
    'ortserve_models_loaded_max 5',
  ]) assert.ok(lines.has(line), line);
  assert.ok(!text.includes('ortserve_model_file_bytes{model="compressor"'));

  facts[1] = { ...facts[1]!, loaded: true, pending: 0 };
  const later = await metrics.registry.metrics();
  assert.match(later, /^ortserve_models_loaded 2$/m);
  assert.match(later, /^ortserve_tensor_model_ready\{model="compressor",version="1.0"\} 1$/m);
});
