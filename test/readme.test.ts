import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorTable } from '../src/errors.ts';
import { readmeFile, withTables } from './support/readme-tables.ts';

test('the README has the options and errors that the code has (npm run docs writes them)', () => {
  const text = readFileSync(readmeFile, 'utf8');
  assert.equal(text, withTables(text));
  for (const code of Object.keys(errorTable)) assert.ok(text.includes(`\`${code}\``));
});
