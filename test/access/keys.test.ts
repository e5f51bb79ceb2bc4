import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { KeyFile } from '../../src/access/key-file.ts';
import { findKey, hashKey, KeyListError, keyOfEverything, parseKeyList } from '../../src/access/keys.ts';
import { keyFilePollMs } from '../../src/limits.ts';

const key = 'a-key-of-enough-characters';
const entry = { name: 'ci', key, scopes: ['infer'] };
const list = (...entries: unknown[]) => JSON.stringify(entries);

test('a key is found by its text, given plain or hashed', () => {
  const hashed = { name: 'hashed', sha256: hashKey('another-key-of-enough').toString('hex'), scopes: ['admin'] };
  const keys = parseKeyList(list(entry, hashed));
  assert.equal(findKey(keys, key)?.name, 'ci');
  assert.equal(findKey(keys, 'another-key-of-enough')?.name, 'hashed');
  assert.equal(findKey(keys, 'nothing-like-it-at-all'), undefined);
  assert.equal(findKey(keys, ''), undefined);
});

test('the text of a key is kept nowhere', () => {
  assert.ok(!JSON.stringify(parseKeyList(list(entry))).includes(key));
});

const bad: [string, string, RegExp][] = [
  ['no JSON', 'secret', /not JSON/],
  ['an object', '{}', /list/],
  ['no name', list({ key, scopes: ['infer'] }), /key 0 needs a name/],
  ['neither key nor hash', list({ name: 'a', scopes: ['infer'] }), /either key or sha256/],
  ['both', list({ ...entry, sha256: 'a'.repeat(64) }), /either key or sha256/],
  ['a short key', list({ ...entry, key: 'short' }), /shorter/],
  ['a broken hash', list({ name: 'a', sha256: 'xyz', scopes: ['infer'] }), /hex/],
  ['no scope', list({ ...entry, scopes: [] }), /scopes/],
  ['an unknown scope', list({ ...entry, scopes: ['root'] }), /scopes/],
  ['a date that is none', list({ ...entry, expires: 'soon' }), /date/],
  ['one name twice', list(entry, entry), /named "ci"/],
  ['null', 'null', /list/],
  ['null in the list', '[null]', /not an object/],
];

for (const [what, text, message] of bad) {
  test(`a key list with ${what} is refused, and its keys are not shown`, () => {
    assert.throws(() => parseKeyList(text), (error: Error) => {
      return error instanceof KeyListError && message.test(error.message) && !error.message.includes(key);
    });
  });
}

test('no key of a file has the name of the one that stands in an option', () => {
  const taken = [keyOfEverything('0123456789abcdef')];
  assert.throws(() => parseKeyList(list({ ...entry, name: 'default' }), taken), { name: 'KeyListError', message: /"default"/ });
  assert.equal(parseKeyList(list(entry), taken).length, 1);
});

test('a key file that changes is read again; one that breaks or goes leaves the last keys in force', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'keys.json');
  writeFileSync(file, list(entry));
  const outcomes: ({ keys: number } | { error: Error })[] = [];
  const keyFile = new KeyFile(file, (outcome) => outcomes.push(outcome));
  t.after(() => keyFile.close());
  assert.deepEqual(keyFile.keys.map(({ name }) => name), ['ci']);
  const until = async (count: number) => {
    while (outcomes.length < count) await sleep(20);
  };
  writeFileSync(file, list(entry, { ...entry, name: 'second', key: 'the-second-key-of-it' }));
  await until(1);
  assert.deepEqual(keyFile.keys.map(({ name }) => name), ['ci', 'second']);
  writeFileSync(file, 'broken');
  await until(2);
  assert.ok('error' in outcomes[1]!);
  assert.equal(keyFile.keys.length, 2);
  rmSync(file);
  await until(3);
  assert.equal(keyFile.keys.length, 2);
});

const skip = process.platform === 'win32' && 'Windows has no such permissions';
test('a key file that could not be read is read once it can be, though it has not changed since', { skip, timeout: 20_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const file = join(directory, 'keys.json');
  writeFileSync(file, list(entry));
  const outcomes: ({ keys: number } | { error: Error })[] = [];
  const keyFile = new KeyFile(file, (outcome) => outcomes.push(outcome));
  t.after(() => keyFile.close());
  writeFileSync(join(directory, 'next'), list({ ...entry, name: 'second' }), { mode: 0o000 });
  renameSync(join(directory, 'next'), file);
  // Root may read everything.
  const user = process.geteuid!();
  if (user === 0) process.seteuid!(65_534);
  try {
    while (outcomes.length < 1) await sleep(20);
    await sleep(2 * keyFilePollMs);
    assert.deepEqual(outcomes.map((outcome) => 'error' in outcome && (outcome.error as NodeJS.ErrnoException).code), ['EACCES']);
  } finally {
    process.seteuid!(user);
  }
  chmodSync(file, 0o600);
  while (outcomes.length < 2) await sleep(20);
  assert.deepEqual(keyFile.keys.map(({ name }) => name), ['second']);
});
