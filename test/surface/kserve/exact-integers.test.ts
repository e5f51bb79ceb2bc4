import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exactIntegers, hasLongIntegers } from '../../../src/surface/kserve/exact-integers.ts';

const exact = (json: string) => Buffer.from(exactIntegers(Buffer.from(json))).toString();

test('long integers become strings of their digits, and nothing else changes', () => {
  const long = '12345678901234567890';
  for (const [json, expected] of [
    [`[${long},-${long}, ${long} ]`, `["${long}","-${long}", "${long}" ]`],
    [`[${long}.5,${long}e2,1e${long},0.${long},-1.${long}]`, undefined],
    [`["${long}","a\\"${long}","\\\\",${long},"\\\\\\"",1]`, `["${long}","a\\"${long}","\\\\","${long}","\\\\\\"",1]`],
    [`{"${long}":${long},"ä€𝄞":"${long}€"}`, `{"${long}":"${long}","ä€𝄞":"${long}€"}`],
    [`${long}`, `"${long}"`],
    ['""', undefined],
  ] as const) {
    assert.equal(exact(json), expected ?? json);
    JSON.parse(exact(json));
  }
  assert.ok(hasLongIntegers(Buffer.from(long)));
  assert.ok(!hasLongIntegers(Buffer.from('123456789012345')));
});

test('a string of millions of escapes takes no stack', () => {
  const text = '\\n'.repeat(5_000_000);
  assert.equal(exact(`["${text}",1234567890123456]`).length, text.length + 23);
});
