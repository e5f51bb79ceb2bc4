import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embedBatch, embedOne } from '../../../src/surface/fastembed/operations.ts';
import { callOperation, heldModel } from '../../support/held-model.ts';

function setup() {
  const { engine } = heldModel();
  const limits = { batchInputsMax: 3, charsMax: 20 };
  return { one: embedOne(engine, limits), batch: embedBatch(engine, limits) };
}

test('one text gives one embedding with its dimension and time', async () => {
  const { processing_time, ...rest } = (await callOperation(setup().one, { model_name: 'held', text: 'abc' })).json();
  assert.deepEqual(rest, { embedding: [3, 1], model_name: 'held', dimension: 2 });
  assert.ok(processing_time >= 0);
});

test('a batch gives its embeddings in order', async () => {
  const { processing_time, ...rest } = (await callOperation(setup().batch, { model_name: 'held', texts: ['abc', 'd'] })).json();
  assert.deepEqual(rest, { embeddings: [[3, 1], [1, 1]], model_name: 'held', dimension: 2, count: 2 });
  assert.ok(processing_time >= 0);
});

test('base64 and bytes are there as on the other surfaces', async () => {
  const base64 = await callOperation(setup().batch, { model_name: 'held', texts: ['abc'], encoding_format: 'base64' });
  assert.equal(Buffer.from(base64.json().embeddings[0], 'base64').readFloatLE(0), 3);
  const bytes = await callOperation(setup().one, { model_name: 'held', text: 'abc' }, { headers: { accept: 'application/octet-stream' } });
  assert.equal(bytes.headers['x-embedding-shape'], '1,2');
});

const bad: [string, 'one' | 'batch', unknown, number, string][] = [
  ['no model name', 'one', { text: 'a' }, 400, 'model_name'],
  ['an unknown model', 'one', { model_name: 'x', text: 'a' }, 404, 'model_name'],
  ['no text', 'one', { model_name: 'held' }, 400, 'text'],
  ['an empty text', 'one', { model_name: 'held', text: '' }, 400, 'text'],
  ['a text that is too long', 'one', { model_name: 'held', text: 'x'.repeat(21) }, 400, 'text'],
  ['a number as text', 'one', { model_name: 'held', text: 1 }, 400, 'text'],
  ['no texts', 'batch', { model_name: 'held', texts: [] }, 400, 'texts'],
  ['too many texts', 'batch', { model_name: 'held', texts: ['a', 'b', 'c', 'd'] }, 400, 'texts'],
  ['a number among texts', 'batch', { model_name: 'held', texts: ['a', 2] }, 400, 'texts[1]'],
  ['a long text in a batch', 'batch', { model_name: 'held', texts: ['a', 'x'.repeat(21)] }, 400, 'texts[1]'],
];

for (const [name, kind, body, status, key] of bad) {
  test(`${name} gives ${status} naming ${key}`, async () => {
    const answer = await callOperation(setup()[kind], body);
    assert.equal(answer.status, status);
    const { status_code, detail, extra } = answer.json();
    assert.equal(status_code, status);
    assert.equal(extra[0].key, key);
    assert.ok(detail.length > 0);
  });
}
