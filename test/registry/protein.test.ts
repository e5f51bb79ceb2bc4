import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { findProteinFolder, isProteinTokenizer } from '../../src/registry/protein.ts';
import { embeddedModelDirectory, tinyBertDirectory } from '../support/fixtures.ts';
import { proteinModels } from '../support/protein-model.ts';

const residues = [...'LAGVSREDTIPKFQNYMHWCXBOUZ'];

const folder = mkdtempSync(path.join(tmpdir(), 'ortserve-tokenizer-'));
after(() => rmSync(folder, { recursive: true }));

function tokenizerOf(vocab: unknown): string {
  const file = path.join(folder, 'tokenizer.json');
  writeFileSync(file, JSON.stringify({ model: { vocab } }));
  return file;
}

test('encoders of proteins are told by their tokens', () => {
  // ProtT5: sentencepiece's marks, and spare tokens.
  const spare = Array.from({ length: 100 }, (_, i) => [`<extra_id_${i}>`, 0]);
  assert.ok(isProteinTokenizer(tokenizerOf([['<pad>', 0], ['</s>', 0], ...residues.map((letter) => [`▁${letter}`, -1]), ...spare])));
  // ESM-2 and ProtBert.
  assert.ok(isProteinTokenizer(tokenizerOf(Object.fromEntries(['<cls>', '<eos>', ...residues].map((token, i) => [token, i])))));
});

test('encoders of text are not', () => {
  for (const directory of [tinyBertDirectory, embeddedModelDirectory]) assert.ok(!isProteinTokenizer(path.join(directory, 'tokenizer.json')));
  const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'];
  assert.ok(!isProteinTokenizer(tokenizerOf(Object.fromEntries(letters.map((token, i) => [token, i])))));
  assert.ok(!isProteinTokenizer(tokenizerOf(Object.fromEntries(residues.slice(1).map((token, i) => [token, i])))));
  for (const vocab of [undefined, null, 5, [1], [null]]) assert.ok(!isProteinTokenizer(tokenizerOf(vocab)));
  assert.ok(!isProteinTokenizer('/nowhere/tokenizer.json'));
});

test('the first folder of proteins is found among others', (t) => {
  const directory = proteinModels(t, 'b-proteins');
  mkdirSync(path.join(directory, 'a-other', 'tokenizer.json'), { recursive: true });
  symlinkSync(path.join(directory, 'a-itself'), path.join(directory, 'a-itself'));
  writeFileSync(path.join(directory, 'file'), '');
  // As git leaves a large file that was not fetched.
  mkdirSync(path.join(directory, 'a-pointer'));
  writeFileSync(path.join(directory, 'a-pointer', 'tokenizer.json'), 'version https://git-lfs.github.com/spec/v1\n');
  assert.equal(findProteinFolder(directory), path.join(directory, 'b-proteins'));
  assert.equal(findProteinFolder(path.join(directory, 'a-other')), undefined);
  assert.equal(findProteinFolder('/nowhere'), undefined);
});
