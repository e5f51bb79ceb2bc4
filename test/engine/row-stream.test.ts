import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { EmbedEngine, type EmbedRequest } from '../../src/engine/embed.ts';
import { streamRows, type StreamedRow } from '../../src/engine/row-stream.ts';
import { ServerError } from '../../src/errors.ts';
import { streamAheadInputs } from '../../src/limits.ts';
import { Call, type AnyOperation } from '../../src/operation.ts';
import { EmbeddingModel } from '../../src/registry/embedding-model.ts';
import { HeldBackend } from '../support/held-backend.ts';
import { heldManifest, heldModel, heldRegistry } from '../support/held-model.ts';

const newCall = () => new Call({ requestId: 'test', operation: {} as AnyOperation, timeoutMs: 1000 });
const fields = { model: 'model', inputs: 'input' };
const texts = (count: number) => Array.from({ length: count }, (_, i) => 'x'.repeat(1 + (i % 40)));
const request = (more: Partial<EmbedRequest> = {}): EmbedRequest => ({ model: 'held', inputs: texts(2000), fields, ...more });

async function all<Value>(rows: AsyncGenerator<readonly StreamedRow[], Value>): Promise<{ rows: StreamedRow[]; groups: number; end: Value }> {
  const found: StreamedRow[] = [];
  for (let groups = 0; ; groups++) {
    const step = await rows.next();
    if (step.done === true) return { rows: found, groups, end: step.value };
    found.push(...step.value);
  }
}

test('every row comes once, with its index, as its batch ends; the totals are those of the answer in one piece', async () => {
  const { engine } = heldModel();
  const { rows, groups, end } = await all(engine.embedEach(request(), newCall()));
  const whole = await engine.embed(request(), newCall());
  assert.ok(groups > 20, `${groups} groups`);
  assert.deepEqual(rows.map(({ index }) => index).sort((a, b) => a - b), whole.rows.map((_, i) => i));
  for (const { index, row, tokensKept } of rows) {
    assert.deepEqual([...row], [...whole.rows[index]!]);
    assert.equal(tokensKept, whole.tokensKept[index]);
  }
  assert.deepEqual([end.model, end.dimension, end.count], ['held', 2, 2000]);
  assert.equal(end.tokens, whole.tokensKept.reduce((sum, count) => sum + count, 0));
});

test('inputs that lost tokens are told in the end, or refuse the request', async () => {
  const { engine } = heldModel();
  const inputs = ['a', 'b'.repeat(300), 'c'];
  const { rows, end } = await all(engine.embedEach(request({ inputs }), newCall()));
  assert.equal(rows.length, 3);
  assert.deepEqual(end.truncated, [{ index: 1, tokensGiven: 302, tokensKept: 256 }]);
  await assert.rejects(all(engine.embedEach(request({ inputs, truncation: 'refuse' }), newCall())), { code: 'INPUT_TOO_LONG', message: /Input 1 / });
});

test('what is wrong with any input is said before anything is computed', async () => {
  const { engine, backend } = heldModel();
  const inputs = [...texts(1000), Int32Array.of(5, 1000)];
  await assert.rejects(all(engine.embedEach(request({ inputs }), newCall())), { code: 'TOKEN_OUT_OF_RANGE', message: /input 1000/ });
  await assert.rejects(all(engine.embedEach(request({ model: 'none' }), newCall())), { code: 'MODEL_NOT_FOUND' });
  assert.equal(backend.ran.length, 0);
});

test('a reader that does not read holds back its computation', async () => {
  const { engine, backend } = heldModel();
  const rows = engine.embedEach(request(), newCall());
  await rows.next();
  for (let i = 0; i < 1000; i++) await turn();
  assert.ok(backend.ran.length <= streamAheadInputs + 100, `${backend.ran.length} ran`);
  await all(rows);
  assert.equal(backend.ran.length, 2000);
});

test('what a reader leaves behind is not computed, and the model is given back', async () => {
  const backend = new HeldBackend();
  const { registry, model } = heldRegistry([], (observer) => {
    return Promise.resolve(new EmbeddingModel(heldManifest, backend, 100_000, observer, 'held'));
  });
  const rows = new EmbedEngine(registry, false).embedEach(request(), newCall());
  const first = rows.next();
  while (backend.running.length === 0) await turn();
  backend.running[0]!.release();
  await first;
  await rows.return(undefined as never);
  while (backend.running.length > 0) {
    backend.running[0]!.release();
    await turn();
  }
  assert.ok(backend.ran.length < 100, `${backend.ran.length} ran`);
  await model.slot.unload();
  assert.equal(model.slot.state, 'absent');
});

test('a stream counts in the statistics as any other request', async () => {
  const { engine, model } = heldModel();
  await all(engine.embedEach(request(), newCall()));
  const { inferences, executions, success, batches } = model.statistics;
  const ran = [...batches].reduce((sum, [items, { infer }]) => sum + items * infer.count, 0);
  assert.deepEqual([inferences, success.count, ran], [2000, 1, 2000]);
  assert.ok(executions > 1);
});

test('a slice that fails ends the stream with its error', async () => {
  const compute = (from: number): Promise<never> => {
    return from === 0 ? new Promise<never>(() => {}) : Promise.reject(new ServerError('BACKEND_FAILED'));
  };
  await assert.rejects(all(streamRows(1000, compute, { cancelled: false })), { code: 'BACKEND_FAILED' });
});
