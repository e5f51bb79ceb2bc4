import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Histogram, Registry } from 'prom-client';
import { RequestSeries } from '../../src/metrics/request-series.ts';

/** The same counted by prom-client itself. */
function counted(requests: readonly (readonly [string, number, number])[], buckets: number[]): Promise<string> {
  const registry = new Registry();
  const answers = new Counter({
    name: 'ortserve_requests_total', help: 'Requests answered.', labelNames: ['operation', 'status'], registers: [registry],
  });
  const seconds = new Histogram({
    name: 'ortserve_request_duration_seconds', help: 'Arrival to answer.', labelNames: ['operation'], buckets, registers: [registry],
  });
  for (const [operation, status, duration] of requests) {
    answers.labels(operation, String(status)).inc();
    seconds.labels(operation).observe(duration);
  }
  return registry.metrics();
}

test('a scrape reads what prom-client itself would have counted', async () => {
  const buckets = [0.001, 0.01, 0.1];
  const requests = [
    ['a', 200, 0.0005], ['a', 200, 0.001], ['a', 404, 0.0011], ['b', 200, 0.1], ['b', 500, 7], ['a', 200, 0.02],
  ] as const;
  const registry = new Registry();
  const series = new RequestSeries(registry, buckets);
  for (const [operation, status, duration] of requests) series.ended(operation, status, duration);
  assert.equal(await registry.metrics(), await counted(requests, buckets));
  assert.equal(await registry.metrics(), await counted(requests, buckets), 'a scrape changes nothing');
});

test('nothing is told of operations that nobody called', async () => {
  const registry = new Registry();
  new RequestSeries(registry, [1]);
  assert.equal(await registry.metrics(), await counted([], [1]));
});
