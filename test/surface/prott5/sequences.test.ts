import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ServerError } from '../../../src/errors.ts';
import { cleanSequence, readSequences } from '../../../src/surface/prott5/sequences.ts';

const limits = { sequencesMax: 10, residuesMax: 20 };
const clean = (written: string) => cleanSequence(written, 'sequences[0]', limits.residuesMax);

describe('what is understood', () => {
  for (const [written, residues] of [
    ['MKTAL', 'MKTAL'],
    ['mktal', 'MKTAL'],
    ['  M K\tT\r\nA L ', 'MKTAL'],
    ['MKTAL*', 'MKTAL'],
    ['MKTAL* \n', 'MKTAL'],
    ['AUZOBx', 'AXXXXX'],
    ['constructor', 'CXNSTRXCTXR'],
    ['ACDEFGHIKLMNPQRSTVWY', 'ACDEFGHIKLMNPQRSTVWY'],
  ] as const) test(JSON.stringify(written), () => assert.equal(clean(written), residues));
});

describe('what is refused, and how', () => {
  for (const [written, code, message] of [
    ['', 'INPUT_EMPTY', /'sequences\[0\]' has no residues/],
    [' \n', 'INPUT_EMPTY', /no residues/],
    ['*', 'INPUT_EMPTY', /no residues/],
    ['A'.repeat(21), 'INPUT_TOO_LONG', /has 21 residues; at most 20/],
    ['>sp|P69905|HBA_HUMAN\nMVLSPADK', 'REQUEST_INVALID', /FASTA header/],
    ['\n>header', 'REQUEST_INVALID', /FASTA header/],
    ['; comment', 'REQUEST_INVALID', /FASTA header/],
    ['MK TA1', 'REQUEST_INVALID', /'1' at position 5 /],
    ['__proto__', 'REQUEST_INVALID', /'_' at position 1 /],
    ['12345', 'REQUEST_INVALID', /'1' at position 1 /],
    ['MK*TA', 'REQUEST_INVALID', /stop '\*' at position 3 /],
    ['MK**', 'REQUEST_INVALID', /stop '\*' at position 3 /],
    ['MK-TA', 'REQUEST_INVALID', /gap '-' at position 3 /],
    ['MK.TA', 'REQUEST_INVALID', /gap '\.' at position 3 /],
    ['MjK', 'REQUEST_INVALID', /'J' at position 2 /],
    ['MКT', 'REQUEST_INVALID', /U\+041A at position 2 /],
    // Their capitals would be I and S.
    ['Mı', 'REQUEST_INVALID', /U\+0131 at position 2 /],
    ['Mſ', 'REQUEST_INVALID', /U\+017F at position 2 /],
    ['M🧬', 'REQUEST_INVALID', /U\+1F9EC at position 2 /],
    ['M\0', 'REQUEST_INVALID', /U\+0000 at position 2 /],
    ['M\ud800', 'REQUEST_INVALID', /U\+D800 at position 2 /],
  ] as const) {
    test(JSON.stringify(written), () => {
      assert.throws(() => clean(written), (error: ServerError) => {
        assert.deepEqual([error.code, error.field], [code, 'sequences[0]']);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

test('equal sequences are one, in the order of their first mention', () => {
  assert.deepEqual(readSequences(['MK', 'ACD', 'mk', 'MK', 'M K'], limits), {
    written: ['MK', 'ACD', 'mk', 'M K'],
    residues: ['MK', 'ACD'],
    places: [0, 1, 0, 0],
    items: [0, 1, 2, 0, 3],
  });
});

test('the item at fault is named', () => {
  assert.throws(() => readSequences(['MK', 'M1'], limits), /'sequences\[1\]' has '1' at position 2/);
  assert.throws(() => readSequences(['MK', 5], limits), /'sequences\[1\]' must be a string/);
  assert.throws(() => readSequences([], limits), /must not be an empty list/);
  assert.throws(() => readSequences(new Array<string>(11).fill('MK'), limits), /has 11 inputs; at most 10/);
});
