import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseByField } from '../../../src/surface/embed-choice.ts';
import { embedOne } from '../../../src/surface/fastembed/operations.ts';
import { teiEmbed } from '../../../src/surface/tei/operations.ts';
import { callOperation, heldModel } from '../../support/held-model.ts';

function setup() {
  const { engine, backend } = heldModel();
  const tei = teiEmbed(engine, 'org/held', { inputsMax: 2, charsMax: 1000 });
  const fastembed = embedOne(engine, { batchInputsMax: 2, charsMax: 1000 });
  return { tei, choice: chooseByField('inputs', tei, fastembed), backend };
}

test('inputs give bare rows, without naming a model', async () => {
  const answer = await callOperation(setup().tei, { inputs: ['abc', 'de'] });
  assert.deepEqual(answer.json(), [[3, 1], [2, 1]]);
  for (const name of ['x-compute-tokens', 'x-total-time', 'x-tokenization-time', 'x-queue-time', 'x-inference-time']) {
    assert.match(answer.headers[name]!, /^\d+$/);
  }
});

test('one input gives one row in a list', async () => {
  assert.deepEqual((await callOperation(setup().tei, { inputs: 'abc' })).json(), [[3, 1]]);
});

test('truncate false refuses what is too long, with its token counts', async () => {
  const answer = await callOperation(setup().tei, { inputs: 'x'.repeat(300), truncate: false });
  assert.equal(answer.status, 413);
  assert.match(answer.json().error, /302.*256/);
  assert.equal((await callOperation(setup().tei, { inputs: 'x'.repeat(300) })).headers['x-truncated'], '0:256/302');
});

test('a named prompt goes before the text, an unknown one is refused', async () => {
  const { tei } = setup();
  assert.equal((await callOperation(tei, { inputs: 'a', prompt_name: 'query' })).status, 200);
  const unknown = await callOperation(tei, { inputs: 'a', prompt_name: '__proto__' });
  assert.equal(unknown.status, 422);
  assert.match(unknown.json().error, /It has query/);
});

test('errors are flat and have its statuses', async () => {
  const { tei } = setup();
  const rows: [unknown, number, string][] = [
    [{ inputs: '' }, 400, 'Empty'],
    [{ inputs: ['a', 'b', 'c'] }, 413, 'Validation'],
    [{ inputs: 5 }, 422, 'Validation'],
    [{ inputs: [[1, 5000]] }, 422, 'Validation'],
    ['{', 400, 'Validation'],
  ];
  for (const [body, status, kind] of rows) {
    const answer = await callOperation(tei, body);
    assert.equal(answer.status, status);
    assert.deepEqual([Object.keys(answer.json()).sort(), answer.json().error_type], [['error', 'error_type'], kind]);
  }
});

test('on one path, the body decides whose shape the answer has', async () => {
  const { choice } = setup();
  assert.deepEqual((await callOperation(choice, { inputs: 'abc' })).json(), [[3, 1]]);
  assert.equal((await callOperation(choice, { model_name: 'held', text: 'abc' })).json().dimension, 2);
  assert.equal((await callOperation(choice, { inputs: '' })).json().error_type, 'Empty');
  assert.equal((await callOperation(choice, { text: '' })).json().status_code, 400);
  assert.equal((await callOperation(choice, 'no json')).json().status_code, 400);
  assert.equal((await callOperation(choice, '[]')).json().status_code, 400);
});
