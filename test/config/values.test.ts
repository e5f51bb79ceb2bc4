import assert from 'node:assert/strict';
import { test } from 'node:test';
import { options } from '../../src/config/schema.ts';
import { textOf, valueOf } from '../../src/config/values.ts';

test('every default reads back from the text that shows it', () => {
  for (const [name, schema] of options) {
    if (schema.default === undefined) continue;
    assert.deepEqual(valueOf(schema, textOf(schema, schema.default)), schema.default, name);
  }
});

test('every choice reads back as itself', () => {
  for (const [, schema] of options) {
    for (const choice of schema.enum ?? []) assert.equal(valueOf(schema, choice), choice);
  }
});

test('every other spelling stands for a choice', () => {
  for (const [, schema] of options) {
    for (const [spelling, choice] of Object.entries(schema.option.spellings ?? {})) {
      assert.ok(schema.enum?.includes(choice), `${spelling} stands for ${choice}`);
      assert.equal(valueOf(schema, spelling.toUpperCase()), choice);
    }
  }
});

test('names of object members are no choices', () => {
  for (const [, schema] of options) {
    if (schema.enum === undefined) continue;
    for (const text of ['constructor', 'toString', '__proto__']) assert.equal(valueOf(schema, text), undefined);
  }
});

test('a number that need not be whole is read as such', () => {
  const [, schema] = options.find(([name]) => name === 'similarityThreshold')!;
  for (const [text, value] of [['0.85', 0.85], ['.5', 0.5], ['1', 1], ['-0.5', -0.5]] as const) assert.equal(valueOf(schema, text), value);
  for (const text of ['', 'abc', '0,85', '1e-1', 'NaN', '0x1', '.']) assert.equal(valueOf(schema, text), undefined);
});
