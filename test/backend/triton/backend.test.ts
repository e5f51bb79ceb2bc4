import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { EmbedOptions, EmbedTask } from '../../../src/backend/protocol.ts';
import { TritonBackend } from '../../../src/backend/triton/backend.ts';
import { tritonAddress, TritonClient } from '../../../src/backend/triton/client.ts';
import { readTritonModel } from '../../../src/backend/triton/model.ts';
import { TritonWatch, type WatchedState } from '../../../src/backend/triton/watch.ts';
import type { ServerError } from '../../../src/errors.ts';
import { float16Value } from '../../../src/tensor/float16.ts';
import { expectedRows, skipUnlessTriton, startTritonServer, type TritonServer } from '../../support/triton-server.ts';
import { until } from '../../support/until.ts';

const name = 'prot_t5_pipeline';
const plain: EmbedOptions = { prompt: '', truncation: 'right', dimension: 0, normalize: undefined };
const skip = skipUnlessTriton();

function taskOf(inputs: readonly string[], options = plain): EmbedTask {
  return { kind: 'embed', inputs, options: inputs.map(() => options), runCost: { tokensMax: 1, overheadTokens: 1 } };
}

async function openBackend(t: TestContext, { address }: TritonServer) {
  const client = new TritonClient(tritonAddress(address), 4);
  t.after(() => client.close());
  const states: WatchedState[] = [];
  const watch = new TritonWatch(client, [name], { changed: (_, state) => states.push(state) });
  t.after(() => watch.close());
  await watch.check();
  const calls: string[] = [];
  const model = await readTritonModel(client, name);
  return { backend: new TritonBackend(client, watch, model, 0, (status) => calls.push(status)), client, watch, states, calls };
}

test('a model on a real Triton server', { skip }, async (t) => {
  const server = await startTritonServer(t);
  const { backend, client, watch, calls } = await openBackend(t, server);

  await t.test('is what its configuration says', () => {
    const { model } = backend;
    assert.deepEqual([model.input, model.output, model.outputType, model.version], ['sequences', 'embeddings', 'FP16', '1']);
    assert.equal(backend.description.dimension, 1024);
    assert.equal(backend.batchInputsMax, 8);
    assert.equal(watch.state(name), 'up');
  });

  await t.test('has an identity that stays', async () => {
    assert.match(backend.model.identity, /^triton:[\w-]{43}$/);
    assert.equal((await readTritonModel(client, name)).identity, backend.model.identity);
  });

  await t.test('gives its vectors bit for bit, padding and batch mates or not', async () => {
    const sequences = ['MKTAL', 'ACDEFGHIKLMNPQRSTVWY', 'M', 'W'.repeat(700), 'GG', 'KR', 'DE', 'HHH'];
    const reply = await backend.embed(taskOf(sequences));
    assert.deepEqual([...reply.rows], Array.from(expectedRows(sequences), float16Value));
    assert.deepEqual([...reply.tokensKept], [6, 21, 2, 701, 3, 3, 3, 4]);
    assert.equal(calls.at(-1), 'OK');
  });

  await t.test('cuts and scales as the options say', async () => {
    const whole = await backend.embed(taskOf(['MKTAL']));
    const cut = await backend.embed(taskOf(['MKTAL'], { ...plain, dimension: 8 }));
    assert.deepEqual(cut.rows.subarray(0, 8), whole.rows.subarray(0, 8));
    const { rows } = await backend.embed(taskOf(['MKTAL'], { ...plain, dimension: 8, normalize: true }));
    assert.ok(Math.abs(Math.hypot(...rows.subarray(0, 8)) - 1) < 1e-6);
  });

  await t.test('tells why it refused an input, without paths', async () => {
    await assert.rejects(backend.embed(taskOf(['MK1'])), (error: ServerError) => {
      assert.equal(error.code, 'BACKEND_FAILED');
      assert.match(error.message, /not a protein sequence: 'MK1'/);
      return true;
    });
  });

  await t.test('that does not exist is not ready', async () => {
    await assert.rejects(readTritonModel(client, 'nobody'));
  });

  await t.test('that takes no text is refused', async () => {
    await assert.rejects(readTritonModel(client, '_internal_onnx'), /does not take one text/);
  });

  await t.test('is found again within five seconds after its server was killed', async () => {
    await server.kill();
    await assert.rejects(backend.embed(taskOf(['MKTAL'])), (error: ServerError) => error.code === 'MODEL_NOT_READY');
    await until(() => watch.state(name) === 'down', 'it is down', 3000);
    await server.restart();
    t.diagnostic(`found after ${Math.round(await until(() => watch.state(name) === 'up', 'it is up', 5000))} ms`);
    // All connections, not only the one that was looked through.
    await Promise.all(Array.from({ length: 16 }, () => backend.embed(taskOf(['MKTAL']))));
  });

  await t.test('is given up when its server falls silent, and found again', async () => {
    server.pause();
    const waiting = backend.embed(taskOf(['MKTAL'])).catch((error: ServerError) => error);
    t.diagnostic(`given up after ${Math.round(await until(() => watch.state(name) === 'down', 'it is down', 12_000))} ms`);
    const error = await waiting;
    assert.ok('code' in error && error.code === 'MODEL_NOT_READY');
    server.resume();
    t.diagnostic(`found after ${Math.round(await until(() => watch.state(name) === 'up', 'it is up', 5000))} ms`);
    await backend.embed(taskOf(['MKTAL']));
  });

  await t.test('is not asked after its watch has ended', async () => {
    watch.close();
    await watch.check();
    assert.equal(watch.state(name), 'up');
  });
});

test('a call ends at its deadline', { skip }, async (t) => {
  const server = await startTritonServer(t, { delayMs: 500 });
  const { backend, calls } = await openBackend(t, server);
  const startedMs = performance.now();
  await assert.rejects(backend.embed(taskOf(['MKTAL']), startedMs + 150), (error: ServerError) => error.code === 'TIMEOUT');
  assert.deepEqual(calls, ['DEADLINE_EXCEEDED']);
  await assert.rejects(backend.embed(taskOf(['MKTAL']), startedMs), (error: ServerError) => error.code === 'TIMEOUT');
  assert.equal(calls.length, 1);
});

test('a failing batch is told of, not tried again: it may fail for good', { skip }, async (t) => {
  const server = await startTritonServer(t, { failEvery: 3 });
  const { backend, calls } = await openBackend(t, server);
  const outcomes: string[] = [];
  for (let i = 0; i < 6; i++) outcomes.push(await backend.embed(taskOf(['MKTAL'])).then(() => 'ok', (error: ServerError) => error.code));
  assert.deepEqual(outcomes, ['ok', 'ok', 'BACKEND_FAILED', 'ok', 'ok', 'BACKEND_FAILED']);
  assert.equal(calls.length, 6);
});

test('a server that is not there yet is unavailable at once', async () => {
  const client = new TritonClient(tritonAddress('127.0.0.1:1'), 1);
  const changes: [string, unknown][] = [];
  const watch = new TritonWatch(client, [name], { changed: (_, state, cause) => changes.push([state, cause]) });
  await watch.check();
  assert.equal(changes[0]![0], 'down');
  assert.match(String(changes[0]![1]), /UNAVAILABLE/);
  watch.close();
  client.close();
});

test('addresses are read with and without a scheme', () => {
  assert.deepEqual(tritonAddress('triton:8001'), { target: 'triton:8001', secure: false });
  assert.deepEqual(tritonAddress('grpc://[::1]:8001'), { target: '[::1]:8001', secure: false });
  assert.deepEqual(tritonAddress('grpcs://triton.example.com:443'), { target: 'triton.example.com:443', secure: true });
});

