// The small parts of hub/ by themselves: names, settings, waits, listings that are kept, locks, the progress line.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { configOf } from '../../src/config.ts';
import { parseTree, treeText } from '../../src/hub/listing.ts';
import { withLock } from '../../src/hub/lock.ts';
import { fileUrl, isSafeEtag, listingUrl, parseRepo } from '../../src/hub/names.ts';
import { ProgressLine, progressText } from '../../src/hub/progress.ts';
import { Transient, retryAfterMs, retrying } from '../../src/hub/retry.ts';
import { hubSettings } from '../../src/hub/settings.ts';
import { hubLockStaleMs } from '../../src/limits.ts';
import { namesIn, newFolder } from './support.ts';

describe('names', () => {
  test('are org/name, with a revision or main', () => {
    assert.deepEqual(parseRepo('BAAI/bge-small-en-v1.5'), { id: 'BAAI/bge-small-en-v1.5', revision: 'main' });
    assert.deepEqual(parseRepo('a/b@refs/pr/1'), { id: 'a/b', revision: 'refs/pr/1' });
    assert.deepEqual(parseRepo('a_/b.c_@v1.0'), { id: 'a_/b.c_', revision: 'v1.0' });
  });

  test('that are anything else are refused', () => {
    const wrong = [
      '', 'name', 'a/b/c', '/b', 'a/', '../b', 'a/..', 'a/.b', 'a/b.', 'a/-b', 'a--b/c', 'a/b..c', 'a/b.git', 'a/b c',
      'a\\b', 'a/b@', 'a/b@../x', 'a/b@/x', 'a/b@x//y', 'a/b@-x', 'a/b@x?y', 'a/b@x y', 'https://hub/a/b', 'a/b@.x',
      `a/${'b'.repeat(97)}`, `a/b@${'c'.repeat(201)}`, 'a/b@x\0', 'ä/b',
    ];
    for (const name of wrong) assert.throws(() => parseRepo(name), { name: 'HubError', reason: 'refused' }, name);
  });

  test('become addresses in which nothing is left to interpret', () => {
    const file = fileUrl('http://hub/sub', { id: 'a/b', revision: 'c0' }, 'onnx/mo del#1?.onnx');
    assert.equal(file.href, 'http://hub/sub/a/b/resolve/c0/onnx/mo%20del%231%3F.onnx');
    const listing = listingUrl('http://hub', { id: 'a/b', revision: 'refs/pr/1' });
    assert.equal(listing.pathname, '/api/models/a/b/revision/refs%2Fpr%2F1');
    const wrong = ['', '..', '.x', 'a/b', 'a\\b', 'a b', '-x', 'x'.repeat(129)];
    for (const etag of wrong) assert.ok(!isSafeEtag(etag), etag);
    assert.ok(isSafeEtag('d7edf6bd2a681fb0175f7735299831ee1b22b812') && isSafeEtag('abc-1'));
  });
});

describe('settings', () => {
  const of = (values: Parameters<typeof configOf>[0]) => hubSettings(configOf(values));

  test('find the cache as huggingface_hub does', () => {
    assert.equal(of({}).cacheDirectory, path.join(homedir(), '.cache/huggingface/hub'));
    assert.equal(of({ cacheHome: '/x' }).cacheDirectory, '/x/huggingface/hub');
    assert.equal(of({ cacheHome: '/x', hubHome: '~/hf' }).cacheDirectory, path.join(homedir(), 'hf/hub'));
    assert.equal(of({ hubHome: '/hf', hubCache: '/c' }).cacheDirectory, '/c');
    assert.equal(of({ hubEndpoint: 'http://hub/sub//' }).endpoint, 'http://hub/sub');
  });

  test('are refused where no request could be made with them', () => {
    for (const hubEndpoint of ['hub', 'ftp://hub', 'https://u:p4ss@hub', 'https://hub?x', 'https://hub#x']) {
      const message = /^HF_ENDPOINT must be a URL such as((?!p4ss).)*$/;
      assert.throws(() => of({ hubEndpoint }), { name: 'HubError', message });
    }
    const message = /^HF_TOKEN has spaces((?!hf_two).)*$/;
    assert.throws(() => of({ hubToken: 'hf_two words' }), { name: 'HubError', message });
  });

  test('find the token: the option, then the file', (t) => {
    const hubHome = newFolder(t);
    assert.equal(of({ hubHome }).token, undefined);
    writeFileSync(path.join(hubHome, 'token'), 'hf_file\n');
    assert.equal(of({ hubHome }).token, 'hf_file');
    assert.equal(of({ hubHome, hubToken: 'hf_option' }).token, 'hf_option');
    writeFileSync(path.join(hubHome, 'other'), 'hf_other');
    assert.equal(of({ hubHome, hubTokenPath: path.join(hubHome, 'other') }).token, 'hf_other');
    for (const text of ['', ' \n', 'two\nlines', 'ä']) {
      writeFileSync(path.join(hubHome, 'token'), text);
      assert.equal(of({ hubHome }).token, undefined, JSON.stringify(text));
    }
  });
});

describe('waiting', () => {
  test('reads seconds and dates', () => {
    assert.equal(retryAfterMs('7'), 7000);
    assert.equal(retryAfterMs('Wed, 21 Oct 2015 07:28:10 GMT', Date.parse('2015-10-21T07:28:00Z')), 10_000);
    assert.equal(retryAfterMs('Wed, 21 Oct 2015 07:28:00 GMT'), 0);
    for (const header of [null, 'soon', '', '-1']) assert.ok(!((retryAfterMs(header) ?? 0) > 0), String(header));
  });

  test('ends after some failures in a row; headway starts the count anew', async () => {
    const patience = { triesMax: 3, retryMs: 1, signal: undefined };
    let calls = 0;
    await assert.rejects(retrying(async () => {
      calls += 1;
      throw new Transient('no');
    }, patience), { name: 'HubError', reason: 'unavailable', message: 'no (3 tries).' });
    assert.equal(calls, 3);
    calls = 0;
    assert.equal(await retrying(async (headway) => {
      calls += 1;
      headway();
      if (calls < 10) throw new Transient('no');
      return calls;
    }, patience), 10);
  });

  test('ends at once for a bug, and when called off', async () => {
    const bug = new Error('bug');
    const patience = { triesMax: 3, retryMs: 60_000, signal: AbortSignal.timeout(20) };
    await assert.rejects(retrying(() => Promise.reject(bug), patience), bug);
    await assert.rejects(retrying(() => Promise.reject(new Transient('no')), patience), { name: 'TimeoutError' });
  });
});

describe('a kept listing', () => {
  const commit = 'ab'.repeat(20);
  const files = [
    { path: 'a/b', bytes: 3, etag: 'cd'.repeat(20) }, { path: 'c', bytes: 70_000, etag: 'ef'.repeat(32) },
  ];

  test('reads as it was written, in the format of huggingface_hub', () => {
    const text = treeText({ commit, files })!;
    assert.deepEqual(parseTree(text, commit), { commit, files });
    assert.deepEqual(JSON.parse(text).files.c, {
      // What `git hash-object` says of the pointer.
      size: 70_000, blob_id: '817c4a17c0f1639017fea11a7bd85d5c623d2500', lfs_sha256: 'ef'.repeat(32), lfs_size: 70_000,
    });
    const entry = { size: 7, blob_id: 'a1', lfs_sha256: 'b2', lfs_size: 7, xet_hash: 'x' };
    const python = { format_version: 1, files: { c: entry } };
    assert.deepEqual(parseTree(JSON.stringify(python), commit)!.files, [{ path: 'c', bytes: 7, etag: 'b2' }]);
  });

  test('is none when it says less or is not to be trusted', () => {
    assert.equal(treeText({ commit, files: [{ path: 'a', bytes: undefined, etag: 'cd' }] }), undefined);
    const entry = { size: 1, blob_id: 'ab' };
    const trees = [null, [], { format_version: 2, files: {} }, { format_version: 1 }];
    const hostile = [{ '../a': entry }, { a: { size: 1, blob_id: '../x' } }, { a: null }];
    for (const tree of [...trees, ...hostile.map((files) => ({ format_version: 1, files }))]) {
      assert.equal(parseTree(JSON.stringify(tree), commit), undefined, JSON.stringify(tree));
    }
    assert.equal(parseTree('{', commit), undefined);
  });
});

describe('a lock', () => {
  test('lets one work at a time, and is gone afterwards', async (t) => {
    const file = path.join(newFolder(t), 'locks/x.lock');
    let inside = 0;
    let most = 0;
    await Promise.all(Array.from({ length: 5 }, () => withLock(file, async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside -= 1;
    })));
    assert.equal(most, 1);
    await assert.rejects(withLock(file, () => Promise.reject(new Error('work failed'))), /work failed/);
    assert.deepEqual(namesIn(path.dirname(file)), []);
  });

  test('of a process that is gone, or was not touched for long, is broken', async (t) => {
    const folder = newFolder(t);
    const file = path.join(folder, 'x.lock');
    // No process has this id: the kernel's largest is 2^22.
    const own = await withLock(file, async () => JSON.parse(readFileSync(file, 'utf8')) as object);
    writeFileSync(file, JSON.stringify({ ...own, id: 'gone', pid: 2 ** 30 }));
    assert.equal(await withLock(file, async () => 'held'), 'held');
    for (const content of [JSON.stringify({ ...own, id: 'elsewhere', machine: 'other' }), '', 'not JSON']) {
      writeFileSync(file, content);
      const old = Date.now() / 1000 - hubLockStaleMs / 1000 - 5;
      utimesSync(file, old, old);
      assert.equal(await withLock(file, async () => 'held'), 'held');
    }
    assert.deepEqual(namesIn(folder), []);
  });

  test('of a living process elsewhere is waited for', async (t) => {
    const file = path.join(newFolder(t), 'x.lock');
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify({ id: 'elsewhere', machine: 'other', pid: 2 ** 30 }));
    await assert.rejects(withLock(file, async () => {}, AbortSignal.timeout(300)), { name: 'TimeoutError' });
    assert.match(readFileSync(file, 'utf8'), /elsewhere/);
  });
});

describe('the progress line', () => {
  test('says how much, of how much, how fast', () => {
    const text = progressText('a/b', 40_900_000, 90_900_000, 3_249_999);
    assert.equal(text, 'a/b  44% [##########--------------] 40.9 MB of 90.9 MB, 3.2 MB/s');
    assert.equal(progressText('a/b', 0, 0, 0), 'a/b 100% [########################] 0 B of 0 B, 0 B/s');
  });

  test('is drawn over itself, not too often, and always at the end', () => {
    let nowMs = 0;
    let written = '';
    const line = new ProgressLine('a/b', (text) => (written += text), () => nowMs);
    for (let bytes = 0; bytes <= 1000; bytes += 10) {
      nowMs += 10;
      line.update(bytes, 1000);
    }
    line.end();
    line.end();
    assert.ok(written.split('\r').length < 14);
    assert.match(written, /100% \[#{24}\] 1\.0 kB of 1\.0 kB, \d+ B\/s *\n$/);
    assert.doesNotMatch(written, /\x1b/);
    const silent = new ProgressLine('a/b', assert.fail);
    silent.end();
  });
});
