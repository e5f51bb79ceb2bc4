import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openaiOperations } from '../../../src/surface/openai/operations.ts';
import { callOperation, heldModel } from '../../support/held-model.ts';

function setup(options: Parameters<typeof heldModel>[0] = {}) {
  const held = heldModel(options);
  const operations = openaiOperations(held.engine, held.registry, { inputsMax: 4, charsMax: 50 });
  const named = (name: string) => operations.find((operation) => operation.name === name)!;
  return { ...held, embeddings: named('openai.embeddings'), models: named('openai.models'), model: named('openai.model') };
}

const request = (fields: object) => ({ model: 'org/held', input: 'abc', ...fields });

test('an answer has the shape of the OpenAI API', async () => {
  const { embeddings } = setup();
  const answer = await callOperation(embeddings, request({ input: ['abc', 'de'] }));
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json(), {
    object: 'list',
    data: [
      { object: 'embedding', index: 0, embedding: [3, 1] },
      { object: 'embedding', index: 1, embedding: [2, 1] },
    ],
    model: 'org/held',
    usage: { prompt_tokens: 9, total_tokens: 9 },
  });
  assert.equal(answer.headers['x-truncated-count'], '0');
});

test('null is as good as absent', async () => {
  const { embeddings } = setup();
  const nulls = { encoding_format: null, embed_dtype: null, dimensions: null, stream: null, user: null };
  const answer = await callOperation(embeddings, request(nulls));
  assert.equal(answer.status, 200, JSON.stringify(answer.json()));
  assert.deepEqual(answer.json(), (await callOperation(embeddings, request({}))).json());
});

test('base64 holds little-endian float32', async () => {
  const { embeddings } = setup();
  const answer = await callOperation(embeddings, request({ encoding_format: 'base64' }));
  const bytes = Buffer.from(answer.json().data[0].embedding, 'base64');
  assert.deepEqual([bytes.readFloatLE(0), bytes.readFloatLE(4), bytes.length], [3, 1, 8]);
});

test('bytes come as raw rows with their shape in a header, by field or by Accept', async () => {
  const { embeddings } = setup();
  const byField = await callOperation(embeddings, request({ input: ['abc', 'de'], encoding_format: 'bytes' }));
  const byAccept = await callOperation(embeddings, request({ input: ['abc', 'de'] }), { headers: { accept: 'application/octet-stream' } });
  for (const answer of [byField, byAccept]) {
    assert.equal(answer.reply.contentType, 'application/octet-stream');
    assert.equal(answer.headers['x-embedding-shape'], '2,2');
    assert.equal(answer.headers['x-embedding-dtype'], 'float32');
    assert.deepEqual([...new Float32Array(new Uint8Array(answer.reply.body as Uint8Array).buffer)], [3, 1, 2, 1]);
  }
});

test('the body says the form where Accept says another, type included', async () => {
  const { embeddings } = setup();
  const headers = { accept: 'application/octet-stream; dtype=float16' };
  const floats = await callOperation(embeddings, request({ encoding_format: 'float' }), { headers });
  assert.deepEqual(floats.json().data?.[0].embedding, [3, 1]);
  const octets = await callOperation(embeddings, request({ embed_dtype: 'int8' }), { headers });
  assert.equal(octets.headers['x-embedding-dtype'], 'int8');
});

test('float16 and int8 rows come when asked for', async () => {
  const { embeddings } = setup();
  const halves = await callOperation(embeddings, request({}), { headers: { accept: 'application/octet-stream; dtype=float16' } });
  assert.deepEqual([...(halves.reply.body as Uint8Array)], [0x00, 0x42, 0x00, 0x3c]);
  const octets = await callOperation(embeddings, request({ encoding_format: 'base64', embed_dtype: 'int8' }));
  assert.deepEqual([...Buffer.from(octets.json().data[0].embedding, 'base64')], [127, 127]);
});

test('token ids are one input, lists of them are several', async () => {
  const { embeddings } = setup();
  assert.equal((await callOperation(embeddings, request({ input: [5, 6, 7] }))).json().data.length, 1);
  const several = await callOperation(embeddings, request({ input: [[5], [6, 7]] }));
  assert.deepEqual(several.json().data.map((item: { embedding: number[] }) => item.embedding[0]), [1, 2]);
});

test('truncated inputs are told with their tokens, in the body and in headers', async () => {
  const held = heldModel();
  const [embeddings] = openaiOperations(held.engine, held.registry, { inputsMax: 4, charsMax: 1000 });
  const answer = await callOperation(embeddings!, request({ input: ['short', 'x'.repeat(300)] }));
  assert.deepEqual(answer.json().truncated, [{ index: 1, tokens_given: 302, tokens_kept: 256 }]);
  assert.equal(answer.headers['x-truncated-count'], '1');
  assert.equal(answer.headers['x-truncated'], '1:256/302');
});

const bad: [string, unknown, number, string | null, RegExp][] = [
  ['no body', undefined, 400, null, /empty/],
  ['broken JSON', '{"model":', 400, null, /JSON/],
  ['NaN', '{"model":"org/held","input":NaN}', 400, null, /JSON/],
  ['deep nesting', '['.repeat(200_000), 400, null, /JSON/],
  ['an array', [], 400, null, /body/i],
  ['no model', { input: 'a' }, 400, 'model', /model/],
  ['no input', { model: 'org/held' }, 400, 'input', /input/],
  ['a number as model', request({ model: 3 }), 400, 'model', /string/],
  ['an unknown model', request({ model: 'nope' }), 404, 'model', /does not exist/],
  ['a model named like a prototype', request({ model: '__proto__' }), 404, 'model', /does not exist/],
  ['an object as input', request({ input: {} }), 400, 'input', /list of strings/],
  ['an empty string', request({ input: '' }), 400, 'input', /empty/],
  ['an empty list', request({ input: [] }), 400, 'input', /empty/],
  ['an empty string in a list', request({ input: ['a', ''] }), 400, 'input[1]', /empty/],
  ['mixed kinds', request({ input: ['a', 1] }), 400, 'input[1]', /one form/],
  ['null in a list', request({ input: [null] }), 400, 'input[0]', /must be/],
  ['too many inputs', request({ input: ['a', 'b', 'c', 'd', 'e'] }), 400, 'input', /at most 4/],
  ['too long an input', request({ input: ['a', 'x'.repeat(51)] }), 400, 'input[1]', /at most 50/],
  ['a lone surrogate', '{"model":"org/held","input":"a\\ud800b"}', 400, 'input', /surrogate/],
  ['a NUL', '{"model":"org/held","input":["a\\u0000b"]}', 400, 'input[0]', /NUL/],
  ['an empty list of ids', request({ input: [[]] }), 400, 'input[0]', /empty/],
  ['a fractional id', request({ input: [[1, 2.5]] }), 400, 'input[0]', /token id/],
  ['a negative id', request({ input: [-1] }), 400, 'input', /token id/],
  ['an id outside of the vocabulary', request({ input: [1, 100_257] }), 400, 'input', /check_embedding_ctx_length/],
  ['an unknown format', request({ encoding_format: 'hex' }), 400, 'encoding_format', /./],
  ['half a dimension', request({ dimensions: 1.5 }), 400, 'dimensions', /integer/],
  ['int8 as JSON numbers', request({ embed_dtype: 'int8' }), 400, 'embed_dtype', /base64 or bytes/],
  ['no dimensions', request({ dimensions: 0 }), 400, 'dimensions', /./],
  ['more dimensions than there are', request({ dimensions: 3 }), 400, 'dimensions', /between 1 and 2/],
  ['dimensions the model was not trained for', request({ dimensions: 1 }), 400, 'dimensions', /not trained/],
];

for (const [name, body, status, param, message] of bad) {
  test(`${name} gives ${status} naming ${param ?? 'nothing'}`, async () => {
    const { embeddings } = setup();
    const answer = await callOperation(embeddings, body);
    assert.equal(answer.status, status);
    const { error } = answer.json();
    assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
    assert.match(error.message, message);
    // The schema names the list where the surface names the item.
    assert.equal(error.param, param);
    assert.equal(error.type, 'invalid_request_error');
  });
}

test('broken UTF-8 is refused, not replaced', async () => {
  const { embeddings } = setup();
  const call = await callOperation({ ...embeddings, decode: (_, c) => embeddings.decode(Buffer.from([0x7b, 0xff, 0x7d]), c) }, '{}');
  assert.equal(call.status, 400);
  assert.match(call.json().error.message, /UTF-8/);
});

test('an unknown model has the code that clients know', async () => {
  const { embeddings } = setup();
  assert.equal((await callOperation(embeddings, request({ model: 'nope' }))).json().error.code, 'model_not_found');
});

test('dimensions are served where the model was trained for them, or where configured', async () => {
  for (const options of [{ manifest: { matryoshkaDimensions: [1] } }, { allowDimensions: true }]) {
    const { embeddings } = setup(options);
    const answer = await callOperation(embeddings, request({ dimensions: 1 }));
    assert.deepEqual(answer.json().data[0].embedding, [3]);
  }
});

test('models are listed and found by every name they have', async () => {
  const { models, model } = setup();
  const list = (await callOperation(models, undefined)).json();
  assert.deepEqual(list.data.map((item: { id: string }) => item.id), ['org/held']);
  assert.equal(list.data[0].owned_by, 'org');
  for (const name of ['org/held', 'held']) {
    assert.equal((await callOperation(model, undefined, { parameters: { '*': name } })).json().id, 'org/held');
  }
  assert.equal((await callOperation(model, undefined, { parameters: { '*': 'other' } })).status, 404);
});

test('a model that is not allowed is neither listed nor run', async () => {
  const { models, embeddings } = setup({ allowed: ['another'] });
  assert.deepEqual((await callOperation(models, undefined)).json().data, []);
  assert.equal((await callOperation(embeddings, request({}))).status, 403);
});

test('an allow-list may use a second name of the model', async () => {
  const { embeddings } = setup({ allowed: ['held'] });
  assert.equal((await callOperation(embeddings, request({}))).status, 200);
});
