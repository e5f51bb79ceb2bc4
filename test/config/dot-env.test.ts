// What a .env may look like, whichever editor wrote it.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { readConfig } from '../../src/config.ts';

function folder(t: TestContext, files: Readonly<Record<string, string>> = {}): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-config-'));
  t.after(() => rmSync(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  return directory;
}

test('a .env of an editor on Windows is read from its first line on', (t) => {
  const directory = folder(t, { '.env': '\uFEFFPORT=1\r\nMAX_BATCH_SIZE=5\r\n' });
  const { config } = readConfig({ environment: {}, directory });
  assert.deepEqual([config.port, config.batchInputsMax], [1, 5]);
});

test('a .env may have lines that say nothing, and spaces where nobody minds them', (t) => {
  const lines = ['no option', 'PORT=1', '  # HOST=comment', 'export   MAX_BATCH_SIZE=5', '---', '# WORKERS=7', '  DEBUG=true', 'left out', 'export LOG_LEVEL=warn', ''];
  for (const end of ['\n', '\r\n']) {
    const { config } = readConfig({ environment: {}, directory: folder(t, { '.env': lines.join(end) }) });
    assert.deepEqual([config.port, config.batchInputsMax, config.debug, config.logLevel], [1, 5, true, 'warn']);
    assert.deepEqual([config.host, config.workers], ['127.0.0.1', 'auto']);
  }
});

test('a folder called .env is not read', (t) => {
  const directory = folder(t);
  mkdirSync(join(directory, '.env'));
  assert.equal(readConfig({ environment: {}, directory }).config.port, 8000);
});
