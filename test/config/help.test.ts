import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionTableMarkdown, optionsHelp, wrap } from '../../src/config/help.ts';
import { groups } from '../../src/config/option.ts';
import { options } from '../../src/config/schema.ts';

test('help names every option, variable and group, in 100 columns', () => {
  const help = optionsHelp();
  for (const group of groups) assert.ok(help.includes(`${group}:\n`), group);
  for (const [, { option, type }] of options) {
    assert.ok(help.includes(type === 'boolean' ? `--[no-]${option.flag}\n` : `--${option.flag} <`), option.flag);
  }
  // A name may be cut off by a line break only at a space.
  const names = new Set(help.split(/[\s,[\]]+/));
  for (const name of options.flatMap(([, { option }]) => option.env)) assert.ok(names.has(name), name);
  for (const line of help.split('\n')) {
    assert.ok(line.length <= 100, line);
    assert.equal(line, line.trimEnd());
  }
});

test('the table has a row of four cells for each option', () => {
  const [head, rule, ...rows] = optionTableMarkdown().trimEnd().split('\n');
  assert.equal(head, '| Environment | Flag | Default | Meaning |');
  assert.equal(rule, '|---|---|---|---|');
  assert.equal(rows.length, options.length);
  for (const row of rows) assert.equal(row.split(/(?<!\\)\|/).length, 6, row);
  assert.ok(rows.some((row) => row.includes('`REDIS_URL_FILE`')), 'secrets show their file variable');
  const timeout = rows.find((row) => row.includes('`REQUEST_TIMEOUT`'));
  assert.ok(timeout?.includes('| `300` |'), 'defaults are in the outer unit');
});

test('a word longer than a line stays whole', () => {
  assert.equal(wrap('a bbbbbbbbbb c', '  ', 6), '  a\n  bbbbbbbbbb\n  c');
});
