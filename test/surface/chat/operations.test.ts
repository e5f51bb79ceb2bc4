import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerEngine } from '../../../src/engine/answer.ts';
import { ServerError } from '../../../src/errors.ts';
import { chatOperations } from '../../../src/surface/chat/operations.ts';
import { callOperation, heldModel } from '../../support/held-model.ts';

function setup() {
  const engine = new AnswerEngine({
    cache: () => Promise.reject(new ServerError('BACKEND_FAILED')),
    engine: heldModel().engine,
    model: 'held',
    upstream: undefined,
    observer: { saved: () => {}, upstreamEnded: () => {}, joined: () => {}, bypassed: () => {} },
    onError: () => {},
  });
  const [chat] = chatOperations(engine, {
    model: 'gpt-test', temperatureMax: 0, timeoutMs: 5000, partitionHeaders: [], partitionFields: [], forwardsKey: false,
  });
  return chat!;
}

test("a body nested beyond the stack is the client's fault", async () => {
  const nested = '['.repeat(20_000) + ']'.repeat(20_000);
  for (const model of ['"model":"m",', '']) {
    const { status, json } = await callOperation(setup(), `{${model}"messages":[{"role":"user","content":"Why?"}],"x":${nested}}`);
    assert.equal(status, 400);
    assert.match(json().error.message, /nested too deeply/);
  }
});
