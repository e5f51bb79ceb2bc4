// A tiny encoder of proteins, laid out as ProtBert is: the network of tiny-bert with the amino acids for its tokens.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { tinyBertDirectory } from './fixtures.ts';

/** A folder that holds it under `name`; removed with the test. */
export function proteinModels(t: TestContext, name = 'tiny-protein'): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-proteins-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(tinyBertDirectory, join(directory, name), { recursive: true });
  const file = join(directory, name, 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(file, 'utf8'));
  const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...'LAGVESIKRDTPNQFYMHCWXUBZO'];
  tokenizer.model.vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  tokenizer.normalizer.lowercase = false;
  writeFileSync(file, JSON.stringify(tokenizer));
  const config = join(directory, name, 'tokenizer_config.json');
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), do_lower_case: false }));
  return directory;
}
