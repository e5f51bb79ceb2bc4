import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EmbedEngine, type EmbedRequest } from '../../src/engine/embed.ts';
import { ServerError } from '../../src/errors.ts';
import { Call, type AnyOperation } from '../../src/operation.ts';
import { EmbeddingModel } from '../../src/registry/embedding-model.ts';
import { HeldBackend } from '../support/held-backend.ts';
import { heldManifest, heldModel, heldRegistry } from '../support/held-model.ts';

const newCall = () => new Call({ requestId: 'test', operation: {} as AnyOperation, timeoutMs: 1000 });
const fields = { model: 'model', inputs: 'input' };
const request = (more: Partial<EmbedRequest> = {}): EmbedRequest => ({ model: 'held', inputs: ['abc'], fields, ...more });

test('a request waits for a model that still loads', async () => {
  let opened!: (backend: HeldBackend) => void;
  const opening = new Promise<HeldBackend>((resolve) => (opened = resolve));
  const { registry } = heldRegistry([], async (observer) => new EmbeddingModel(heldManifest, await opening, 1000, observer, 'held'));
  const answer = new EmbedEngine(registry, false).embed(request(), newCall());
  const backend = new HeldBackend();
  backend.flowing = true;
  opened(backend);
  assert.equal((await answer).rows.length, 1);
});

test('a model that failed to load answers its reason', async () => {
  const { registry } = heldRegistry([], () => Promise.reject(new ServerError('MODEL_NOT_READY', 'broken file')));
  const answer = new EmbedEngine(registry, false).embed(request(), newCall());
  await assert.rejects(Promise.resolve(answer), (error: ServerError) => error.code === 'MODEL_NOT_READY');
});

test('a model is held while it computes and free afterwards', async () => {
  const { engine, model, backend } = heldModel();
  backend.flowing = false;
  const answer = engine.embed(request(), newCall());
  while (backend.running.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(model.slot.leases, 1);
  backend.running[0]!.release();
  await answer;
  assert.equal(model.slot.leases, 0);
});

test('requests that want the same share one options object, so that a batch is cloned with one', async () => {
  const { engine, backend } = heldModel();
  backend.flowing = false;
  const answers = [request(), request(), request({ normalize: true })].map((each) => engine.embed(each, newCall()));
  await new Promise((resolve) => setTimeout(resolve, 20));
  const { options } = backend.running[0]!.task;
  assert.equal(new Set(options).size, 2);
  backend.flowing = true;
  backend.running[0]!.release();
  await Promise.all(answers);
});

test("the model's default prompt goes before texts of requests that name none", async () => {
  const { engine, backend } = heldModel({ manifest: { defaultPromptName: 'query' } });
  const prompts: string[] = [];
  const embed = backend.embed.bind(backend);
  backend.embed = (task) => {
    prompts.push(...task.options.map((options) => options.prompt));
    return embed(task);
  };
  await engine.embed(request(), newCall());
  assert.deepEqual(prompts, ['query: ']);
});

test('timings of the stages are left on the call', async () => {
  const { engine } = heldModel();
  const call = newCall();
  await engine.embed(request(), call);
  assert.ok(call.timings.queueMs! >= 0 && call.timings.tokenizeMs! > 0 && call.timings.inferenceMs! > 0);
});

test('embeddings and truncated inputs are counted', async () => {
  const { engine, metrics } = heldModel();
  await engine.embed(request({ inputs: ['a', 'x'.repeat(300)] }), newCall());
  assert.equal(metrics.totals().embeddings, 2);
  assert.match(await metrics.registry.metrics(), /ortserve_inputs_truncated_total\{model="org\/held"\} 1/);
});
