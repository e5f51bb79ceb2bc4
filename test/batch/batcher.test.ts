import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { Batcher } from '../../src/batch/batcher.ts';
import { ServerError } from '../../src/errors.ts';
import { HeldBackend } from '../support/held-backend.ts';

const options = { prompt: '', truncation: 'right', dimension: 0, normalize: undefined } as const;
const nobodyLeft = { cancelled: false };

function setup(concurrency = 1, queueTokensMax = 100_000) {
  const backend = new HeldBackend(concurrency);
  const seen = { dropped: 0, batches: 0, inputs: 0 };
  const batcher = new Batcher(backend, queueTokensMax, {
    batchEnded: (batch) => {
      seen.batches += 1;
      seen.inputs += batch.inputs;
    },
    inputsDropped: (count) => {
      seen.dropped += count;
    },
  });
  return { backend, batcher, seen };
}

async function flow(backend: HeldBackend): Promise<void> {
  backend.flowing = true;
  for (const batch of [...backend.running]) batch.release();
  await turn();
}

const text = (length: number, letter = 'x') => letter.repeat(length);

test('rows come back in request order, whatever order they ran in', async () => {
  const { backend, batcher } = setup(2);
  backend.flowing = true;
  const lengths = Array.from({ length: 200 }, (_, i) => 1 + ((i * 37) % 150));
  const embedded = await batcher.embed(lengths.map((length) => text(length)), options, nobodyLeft);
  assert.deepEqual(embedded.rows.map((row) => row[0]), lengths);
  assert.deepEqual([...embedded.tokensGiven], lengths.map((length) => length + 2));
});

test('requests that arrive together run together', async () => {
  const { backend, batcher } = setup(1);
  const answers = [1, 2, 3].map((length) => batcher.embed([text(length)], options, nobodyLeft));
  await turn();
  assert.equal(backend.running.length, 1);
  assert.equal(backend.running[0]!.task.inputs.length, 3);
  await flow(backend);
  await Promise.all(answers);
});

test('batches of a backend that shares out work itself are filled', async () => {
  const { backend, batcher } = setup(2);
  Object.assign(backend, { batchInputsMax: 3 });
  const answer = batcher.embed(Array<string>(8).fill(text(12)), options, nobodyLeft);
  await turn();
  assert.deepEqual(backend.running.map((batch) => batch.task.inputs.length), [3, 3]);
  await flow(backend);
  assert.equal((await answer).batches, 3);
});

test('an input that fails costs its own request only', async () => {
  const { backend, batcher, seen } = setup(1);
  const guilty = batcher.embed([text(5, 'g'), text(6, 'g')], options, nobodyLeft).catch((error: ServerError) => error.message);
  const innocent = batcher.embed([text(5)], options, nobodyLeft);
  await turn();
  assert.equal(backend.running[0]!.task.inputs.length, 3);
  backend.running[0]!.fail(new ServerError('BACKEND_FAILED', 'one of the three'));
  await turn();
  assert.deepEqual(backend.running[0]!.task.inputs, [text(5, 'g'), text(6, 'g')]);
  backend.running[0]!.fail(new ServerError('BACKEND_FAILED', 'mine'));
  await turn();
  backend.running[0]!.release();
  assert.equal(await guilty, 'mine');
  assert.deepEqual([...(await innocent).rows[0]!], [5, 1]);
  assert.deepEqual(seen, { dropped: 0, batches: 1, inputs: 1 });
});

test('what fails for all alike is not run again', async () => {
  const { backend, batcher } = setup(1);
  const both = [1, 2].map((length) => batcher.embed([text(length)], options, nobodyLeft).catch((error: ServerError) => error.code));
  await turn();
  backend.running[0]!.fail(new ServerError('MODEL_NOT_READY'));
  assert.deepEqual(await Promise.all(both), ['MODEL_NOT_READY', 'MODEL_NOT_READY']);
  assert.equal(backend.ran.length, 2);
});

test('a batch has the last deadline of those who wait for it', async () => {
  const { backend, batcher } = setup(1);
  const deadlines: (number | undefined)[] = [];
  const embed = backend.embed.bind(backend);
  backend.embed = (task, deadlineMs?: number) => {
    deadlines.push(deadlineMs);
    return embed(task);
  };
  backend.flowing = true;
  await Promise.all([100, 300, 200].map((deadlineMs) => batcher.embed([text(3)], options, { cancelled: false, deadlineMs })));
  await batcher.embed([text(3)], options, nobodyLeft);
  assert.deepEqual(deadlines, [300, Infinity]);
});

test('a request is split over all idle workers', async () => {
  const { backend, batcher } = setup(2);
  const answer = batcher.embed(Array<string>(8).fill(text(12)), options, nobodyLeft);
  await turn();
  assert.deepEqual(backend.running.map((batch) => batch.task.inputs.length), [4, 4]);
  await flow(backend);
  await answer;
});

test('no more batches run than the backend has workers', async () => {
  const { backend, batcher } = setup(2);
  const answer = batcher.embed(Array<string>(500).fill(text(40)), options, nobodyLeft);
  for (let i = 0; i < 20; i++) {
    await turn();
    assert.ok(backend.running.length <= 2);
    backend.running[0]?.release();
  }
  await flow(backend);
  await answer;
});

test('inputs of a client that left never run', async () => {
  const { backend, batcher, seen } = setup(1);
  const first = batcher.embed([text(60, 'a')], options, nobodyLeft);
  await turn();
  const leaver = { cancelled: false };
  const second = batcher.embed([text(60, 'b'), text(60, 'b')], options, leaver);
  const third = batcher.embed([text(60, 'c')], options, nobodyLeft);
  leaver.cancelled = true;
  const refused = assert.rejects(second, (error: ServerError) => error.code === 'CANCELLED');
  await flow(backend);
  await Promise.all([first, third, refused]);
  assert.ok(!backend.ran.includes(text(60, 'b')));
  assert.equal(seen.dropped, 2);
  assert.equal(batcher.queuedTokens, 0);
});

test('what already runs goes on though its client left', async () => {
  const { backend, batcher, seen } = setup(1);
  const leaver = { cancelled: false };
  const answer = batcher.embed([text(5)], options, leaver);
  await turn();
  leaver.cancelled = true;
  await flow(backend);
  await answer;
  assert.equal(seen.inputs, 1);
  assert.equal(seen.dropped, 0);
});

test('a full queue refuses with a time to come back, and takes again once there is room', async () => {
  const { backend, batcher } = setup(1, 100);
  const running = batcher.embed([text(1200)], options, nobodyLeft);
  await turn();
  const waiting = batcher.embed([text(1200)], options, nobodyLeft);
  await assert.rejects(async () => batcher.embed(Array<string>(4).fill(text(1200)), options, nobodyLeft), (error: ServerError) => {
    return error.code === 'QUEUE_FULL' && error.retryAfterMs! >= 1000;
  });
  await flow(backend);
  await Promise.all([running, waiting]);
  await batcher.embed(Array<string>(4).fill(text(1200)), options, nobodyLeft);
});

test('what cancelled clients left in a full queue makes room at once', async () => {
  const { backend, batcher } = setup(1, 100);
  const running = batcher.embed([text(1200)], options, nobodyLeft);
  await turn();
  const leaver = { cancelled: false };
  const left = assert.rejects(batcher.embed([text(1200)], options, leaver));
  leaver.cancelled = true;
  const taken = batcher.embed([text(1200)], options, nobodyLeft);
  await flow(backend);
  await Promise.all([running, left, taken]);
});

test('a request larger than the queue is taken when nothing else waits', async () => {
  const { backend, batcher } = setup(1, 10);
  backend.flowing = true;
  const embedded = await batcher.embed(Array<string>(50).fill(text(100)), options, nobodyLeft);
  assert.equal(embedded.rows.length, 50);
});

test('a failed batch fails its requests, spares the others, and the rest of a failed request never runs', async () => {
  const { backend, batcher } = setup(1);
  const doomed = batcher.embed(Array<string>(20).fill(text(600, 'a')), options, nobodyLeft);
  const failed = assert.rejects(doomed, (error: ServerError) => error.code === 'BACKEND_FAILED');
  await turn();
  const healthy = batcher.embed([text(600, 'b')], options, nobodyLeft);
  backend.flowing = true;
  backend.running[0]!.fail(new ServerError('BACKEND_FAILED'));
  await Promise.all([failed, healthy]);
  assert.ok(backend.ran.filter((input) => input.startsWith('a')).length < 5);
});

test('drained waits for what is queued and what runs', async () => {
  const { backend, batcher } = setup(1);
  const answer = batcher.embed(Array<string>(6).fill(text(100)), options, nobodyLeft);
  let drained = false;
  const end = batcher.drained().then(() => {
    drained = true;
  });
  await turn();
  assert.equal(drained, false);
  await flow(backend);
  await Promise.all([answer, end]);
  assert.equal(batcher.queuedInputs + batcher.runningBatches, 0);
});

test('rows of a cut request have the wanted length', async () => {
  const { backend, batcher } = setup(1);
  backend.flowing = true;
  const embedded = await batcher.embed(['abc'], { ...options, dimension: 1 }, nobodyLeft);
  assert.deepEqual([...embedded.rows[0]!], [3]);
});

test('token estimates follow the texts that come', async () => {
  const { backend, batcher } = setup(1);
  backend.flowing = true;
  // The held backend counts a token a character: many times what English has.
  for (let i = 0; i < 50; i++) await batcher.embed(Array<string>(10).fill(text(200)), options, nobodyLeft);
  backend.flowing = false;
  const answer = batcher.embed([text(100), text(100)], options, nobodyLeft);
  assert.ok(batcher.queuedTokens > 150, `${batcher.queuedTokens} tokens for 200 characters`);
  await turn();
  await flow(backend);
  await answer;
});

test('a measurement runs alone, in an idle moment, and what arrives meanwhile waits for it', async () => {
  const { backend, batcher } = setup(1);
  const running = batcher.embed([text(5, 'a')], options, nobodyLeft);
  await turn();
  let endStep!: () => void;
  let started = false;
  const alone = batcher.alone(() => {
    started = true;
    return new Promise<void>((resolve) => (endStep = resolve));
  });
  await turn();
  assert.equal(started, false);
  await flow(backend);
  await running;
  while (!started) await turn();
  const later = batcher.embed([text(5, 'b')], options, nobodyLeft);
  await turn();
  assert.ok(!backend.ran.includes(text(5, 'b')));
  endStep();
  await Promise.all([alone, later]);
});
