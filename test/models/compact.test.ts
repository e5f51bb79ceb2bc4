// The embedded model is what the scripts in models/ make of the original, byte for byte.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { embeddedModelDirectory, miniLmDirectory, skipUnless, tinyBertDirectory, tinyDenseDirectory } from '../support/fixtures.ts';
import { skipUnlessRuns } from '../support/programs.ts';
import { repositoryDirectory } from '../support/repository.ts';

const python = skipUnlessRuns('python3 with the packages of models/requirements.txt', 'python3', '-c', 'import onnx, numpy');

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function assertSameFiles(made: string, kept: string, except: readonly string[] = []): void {
  const files = (folder: string) => {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => statSync(join(folder, file)).isFile() && !except.includes(file))
      .sort();
  };
  assert.deepEqual(files(made), files(kept));
  for (const file of files(kept)) assert.ok(readFileSync(join(made, file)).equals(readFileSync(join(kept, file))), `${file} differs`);
}

const script = (name: string) => join(repositoryDirectory, 'models', name);

test('the embedded model is made from the original by pack.py and compact.py', { skip: python || skipUnless(miniLmDirectory) }, (t) => {
  const directory = temporaryDirectory(t);
  const [packed, made] = [join(directory, 'packed'), join(directory, 'compact')];
  execFileSync('python3', [script('pack.py'), miniLmDirectory, packed], { stdio: 'pipe' });
  execFileSync('python3', [script('compact.py'), packed, made], { stdio: 'pipe' });
  assertSameFiles(made, embeddedModelDirectory, ['NOTICE', 'LICENSE']);
});

for (const name of ['pack.py', 'compact.py']) {
  test(`${name}: a folder without a model is refused in one line and leaves nothing behind`, { skip: python }, (t) => {
    const directory = temporaryDirectory(t);
    const { status, stderr } = spawnSync('python3', [script(name), directory, join(directory, 'made')], { encoding: 'utf8' });
    assert.notEqual(status, 0);
    assert.equal(stderr.includes('Traceback'), false);
    assert.deepEqual(readdirSync(directory), []);
  });
}

test('pack.py refuses a graph whose texts it could not keep apart, and one that is packed', { skip: python }, (t) => {
  const directory = temporaryDirectory(t);
  for (const source of [tinyBertDirectory, embeddedModelDirectory]) {
    const { status, stderr } = spawnSync('python3', [script('pack.py'), source, join(directory, 'made')], { encoding: 'utf8' });
    assert.notEqual(status, 0);
    assert.match(stderr, /^pack\.py: [^\n]+\n$/);
    assert.deepEqual(readdirSync(directory), []);
  }
});

test('the embedded model stays small', () => {
  assert.ok(statSync(join(embeddedModelDirectory, 'onnx/model.onnx')).size < 26e6);
});

test('the fixtures have their files', () => {
  for (const folder of [tinyBertDirectory, tinyDenseDirectory]) assert.ok(statSync(join(folder, 'onnx/model.onnx')).size < 60_000);
});
