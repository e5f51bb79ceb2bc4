import assert from 'node:assert/strict';
import { test } from 'node:test';
import Type from 'typebox';
import { bodyChecker } from '../../src/surface/body.ts';

const check = bodyChecker(Type.Object({
  texts: Type.Array(Type.String()),
  format: Type.Optional(Type.Union([Type.Union([Type.Literal('float'), Type.Literal('base64')]), Type.Null()])),
  object: Type.Optional(Type.Literal('list')),
}));

test('what is wrong is named, with its place and what is allowed there', () => {
  const texts = ['a'];
  for (const [body, message, field] of [
    [{}, "'texts' is missing.", 'texts'],
    [{ texts: ['a', 'b', 5] }, "'texts[2]' must be string.", 'texts[2]'],
    [{ texts, format: 'md5' }, `'format' must be one of "float", "base64".`, 'format'],
    [{ texts, object: 'a list' }, `'object' must be "list".`, 'object'],
    [[], 'The body must be object.', undefined],
  ] as const) {
    assert.throws(() => check(body), { code: 'REQUEST_INVALID', message, field });
  }
  assert.deepEqual(check({ texts, format: null, object: 'list' }), { texts, format: null, object: 'list' });
});
