// The protein service on the real server, against a real Triton with the pipeline: right vectors, true numbers, and
// what becomes of requests when Triton is killed, slow or failing.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertRight, bits, compute, expectedOf, randomSequences, untilHealthy, type Answer } from '../support/protein-service.ts';
import { startServerProcess, type ServerProcess } from '../support/server-process.ts';
import { copyOfTriton, skipUnlessTriton, startTritonServer, type TritonFaults } from '../support/triton-server.ts';

const skip = skipUnlessTriton();
const calls = 'ortserve_triton_calls_total{model="prot_t5_pipeline",status="OK"}';

async function start(t: TestContext, faults?: TritonFaults, options: Record<string, string> = {}) {
  const triton = await startTritonServer(t, faults);
  const server = await startServerProcess(t, { TRITON_URL: triton.address, ...options });
  await untilHealthy(server);
  return { triton, server };
}

test('a thousand sequences, new and then known', { skip }, async (t) => {
  const { triton, server } = await start(t);
  const sequences = randomSequences(1000, 7);
  const expected = expectedOf(sequences);

  await t.test('new: as Triton gives them, bit for bit', async () => {
    const answer = (await (await compute(server, { sequences })).json()) as Answer;
    assertRight(answer.embeddings, expected, sequences);
    assert.equal(answer.cache_stats.hit_rate, 0);
    const { timing } = answer;
    assert.equal(timing.cache_hits, 0);
    assert.equal(timing.triton_calls, await server.metric(calls));
    assert.equal(timing.triton_calls, await triton.inferences());
    assert.ok(timing.triton_calls >= 125);
    assert.ok(Math.abs(timing.total_ms - timing.cache_ms - timing.triton_ms) < timing.total_ms / 2);
    t.diagnostic(`new: ${JSON.stringify(timing)}`);
  });

  await t.test('known: the same, and Triton is not asked', async () => {
    const before = await triton.inferences();
    const answer = (await (await compute(server, { sequences })).json()) as Answer;
    assertRight(answer.embeddings, expected, sequences);
    assert.equal(answer.cache_stats.hit_rate, 1);
    assert.deepEqual([answer.timing.cache_hits, answer.timing.triton_calls, answer.timing.triton_ms], [1000, 0, 0]);
    assert.equal(await triton.inferences(), before);
    t.diagnostic(`known: ${JSON.stringify(answer.timing)}`);
  });

  await t.test('some new: only those are computed', async () => {
    const fresh = randomSequences(3, 8);
    const answer = (await (await compute(server, { sequences: [...sequences.slice(0, 9), ...fresh] })).json()) as Answer;
    assert.deepEqual([answer.cache_stats.hit_rate, answer.timing.cache_hits], [0.75, 9]);
    assert.ok(answer.timing.triton_calls >= 1 && answer.timing.triton_calls <= 3);
  });

  await t.test('past the cache: computed again', async () => {
    const before = await triton.inferences();
    const answer = (await (await compute(server, { sequences: sequences.slice(0, 1), use_cache: false })).json()) as Answer;
    assert.deepEqual([answer.timing.cache_hits, answer.timing.triton_calls], [0, 1]);
    assert.equal(await triton.inferences(), before + 1);
  });

  await t.test('other APIs take the model by its name', async () => {
    const body = JSON.stringify({ model: 'prot_t5_pipeline', input: sequences[0] });
    const answer = (await (await fetch(`${server.url}/v1/embeddings`, { method: 'POST', body })).json()) as any;
    assert.deepEqual(bits(Float32Array.from(answer.data[0].embedding)), bits(expected.get(sequences[0]!)!));
    assert.equal(answer.usage.prompt_tokens, sequences[0]!.length + 1);
  });

  await t.test('the paths of the service tell what is', async () => {
    const get = async (path: string) => (await (await fetch(`${server.url}/embeddings/${path}`)).json()) as any;
    assert.deepEqual((await get('health')).components.model, { status: 'ready', name: 'prot_t5_pipeline' });
    const info = await get('model/info');
    assert.deepEqual([info.embedding_dim, info.max_batch_size, info.metadata.platform], ['1024', 8, 'ensemble']);
    assert.equal(info.config.ensemble_scheduling.step.length, 2);
    const stats = await get('cache/stats');
    assert.equal(stats.entries, 1003);
    assert.ok(Math.abs(stats.hits / (stats.hits + stats.misses) - stats.hit_rate) < 1e-4);
  });
});

test('Triton is killed and started again under load', { skip }, async (t) => {
  const { triton, server } = await start(t);
  const sequences = randomSequences(64, 9);
  const expected = expectedOf(sequences);
  const known = sequences.slice(0, 4);
  assert.equal((await compute(server, { sequences: known })).status, 200);
  const load = startLoad(server, sequences, expected);
  await sleep(1000);
  await triton.kill();
  await sleep(1500);

  const answer = await compute(server, { sequences: known });
  assert.equal(answer.status, 200, 'what is known is answered without Triton');
  assertRight(((await answer.json()) as Answer).embeddings, expected, known);
  const refused = await compute(server, { sequences: [known[0], 'MKTAL'] });
  assert.equal(refused.status, 503);
  assert.match(((await refused.json()) as { detail: string }).detail, /Triton.*not available/);
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  const health = (await (await fetch(`${server.url}/health`)).json()) as { status: string };
  assert.equal(health.status, 'degraded');
  assert.deepEqual(await (await fetch(`${server.url}/readyz`)).json(), { status: 'ready', waiting: ['prot_t5_pipeline'] });

  await triton.restart();
  const startedMs = performance.now();
  load.nextSuccess = undefined;
  while (load.nextSuccess === undefined) {
    assert.ok(performance.now() - startedMs < 5000, 'it was not found again within five seconds');
    await sleep(10);
  }
  t.diagnostic(`found after ${Math.round(load.nextSuccess - startedMs)} ms`);
  await sleep(500);
  const statuses = await load.stop();
  t.diagnostic(`answers: ${JSON.stringify(statuses)}`);
  assert.deepEqual(Object.keys(statuses).sort(), ['200', '503']);
  assert.equal(await server.metric('ortserve_requests_in_flight'), 1, 'nothing but this question is in flight');
  assert.equal(await server.metric('ortserve_queue_inputs{model="prot_t5_pipeline"}'), 0);
});

test('a slow Triton costs those who cannot wait, and nobody else', { skip }, async (t) => {
  const { server } = await start(t, { delayMs: 500 }, { REQUEST_TIMEOUT: '1500ms' });
  const sequences = randomSequences(64, 10);
  const expected = expectedOf(sequences);
  // One run every half second, four at once and eight in each: what is behind them has no time left.
  const answers = await Promise.all(sequences.map((sequence) => compute(server, { sequences: [sequence] })));
  const statuses = answers.map(({ status }) => status);
  assert.ok(statuses.every((status) => status === 200 || status === 504), statuses.join());
  assert.ok(statuses.includes(200) && statuses.includes(504));
  for (const [i, answer] of answers.entries()) {
    if (answer.status === 200) assertRight(((await answer.json()) as Answer).embeddings, expected, [sequences[i]!]);
  }
  // What ran for those who left is known now, and the queue is free.
  await sleep(2500);
  assert.equal((await compute(server, { sequences: sequences.slice(0, 1) })).status, 200);
});

test('when every third batch fails, each answer is right or says so', { skip }, async (t) => {
  const { server } = await start(t, { failEvery: 3 });
  const sequences = randomSequences(64, 11);
  const load = startLoad(server, sequences, expectedOf(sequences));
  await sleep(3000);
  const statuses = await load.stop();
  t.diagnostic(`answers: ${JSON.stringify(statuses)}`);
  assert.deepEqual(Object.keys(statuses).sort(), ['200', '503']);
  const refused = await refusal(server, sequences);
  assert.match(refused.detail, /planted failure/);
  assert.equal(refused.code, 'BACKEND_FAILED');
});

test('a server starts without Triton, and finds it when it comes', { skip }, async (t) => {
  const triton = await startTritonServer(t);
  await triton.kill();
  const server = await startServerProcess(t, { TRITON_URL: triton.address });
  assert.equal((await fetch(`${server.url}/embeddings/health`)).status, 503);
  assert.equal((await compute(server, { sequences: ['MKTAL'] })).status, 503);
  await triton.restart();
  const foundMs = await untilHealthy(server);
  assert.ok(foundMs < 5000);
  t.diagnostic(`found after ${Math.round(foundMs)} ms`);
  assert.equal((await compute(server, { sequences: ['MKTAL'] })).status, 200);
});

test('another version of a part of the ensemble is seen, and nothing known before is answered for it', { skip }, async (t) => {
  const directory = copyOfTriton(t);
  const triton = await startTritonServer(t, {}, directory);
  const server = await startServerProcess(t, { TRITON_URL: triton.address });
  await untilHealthy(server);
  const asked = { sequences: ['MKTAL'] };
  const first = (await (await compute(server, asked)).json()) as Answer;
  assert.equal(((await (await compute(server, asked)).json()) as Answer).timing.cache_hits, 1);

  // Its vectors point the other way, and come as FP32.
  const network = join(directory, 'model-repository/_internal_onnx');
  const program = readFileSync(join(network, '1/model.py'), 'utf8');
  mkdirSync(join(network, '2'));
  writeFileSync(join(network, '2/model.py'), program.replace('out.astype(np.float16)', '-out.astype(np.float16).astype(np.float32)'));
  for (const name of ['_internal_onnx', 'prot_t5_pipeline']) {
    const file = join(directory, 'model-repository', name, 'config.pbtxt');
    writeFileSync(file, readFileSync(file, 'utf8').replace('TYPE_FP16', 'TYPE_FP32'));
  }
  await triton.kill();
  await triton.restart();
  await untilHealthy(server);
  while ((await modelType(server)) !== 'TYPE_FP32') await sleep(50);
  const second = (await (await compute(server, asked)).json()) as Answer;
  assert.equal(second.timing.cache_hits, 0);
  assert.deepEqual(second.embeddings['MKTAL'], first.embeddings['MKTAL']!.map((value) => -value));
});

async function modelType(server: ServerProcess): Promise<string> {
  const info = (await (await fetch(`${server.url}/embeddings/model/info`)).json()) as { config: { output: { data_type: string }[] } };
  return info.config.output[0]!.data_type;
}

test('a request that runs when the server is asked to stop is answered', { skip }, async (t) => {
  const { server } = await start(t, { delayMs: 500 });
  const answer = compute(server, { sequences: ['MKTAL'] });
  await sleep(200);
  const ended = server.stop();
  assert.equal((await answer).status, 200);
  assert.deepEqual(await ended, { code: 0, signal: null });
});

async function refusal(server: ServerProcess, sequences: readonly string[]): Promise<{ detail: string; code: string }> {
  for (;;) {
    const answer = await compute(server, { sequences: sequences.slice(0, 1), use_cache: false });
    if (answer.status !== 200) return (await answer.json()) as { detail: string; code: string };
  }
}

/** Eight clients that ask past the cache, each answer compared; counts answers by status. */
function startLoad(server: ServerProcess, sequences: readonly string[], expected: ReadonlyMap<string, Float32Array>) {
  const load = { nextSuccess: undefined as number | undefined, stop };
  const statuses: Record<string, number> = {};
  let running = true;
  const clients = Array.from({ length: 8 }, async (_, client) => {
    for (let at = client * 8; running; at = (at + 5) % (sequences.length - 3)) {
      const asked = sequences.slice(at, at + 3);
      const answer = await compute(server, { sequences: asked, use_cache: false });
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
      if (answer.status === 200) {
        load.nextSuccess ??= performance.now();
        assertRight(((await answer.json()) as Answer).embeddings, expected, asked);
      } else {
        await answer.arrayBuffer();
        await sleep(20);
      }
    }
  });
  async function stop(): Promise<Record<string, number>> {
    running = false;
    await Promise.all(clients);
    return statuses;
  }
  return load;
}
