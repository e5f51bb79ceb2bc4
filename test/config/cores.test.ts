import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { coresAvailable } from '../../src/config/cores.ts';

const cores = availableParallelism();

function files(texts: Readonly<Record<string, string>>): (file: string) => string {
  return (file) => {
    const text = texts[file];
    if (text === undefined) throw new Error('ENOENT');
    return text;
  };
}

test('without a quota all cores of the process count', () => {
  assert.equal(coresAvailable(files({})), cores);
  assert.equal(coresAvailable(files({ '/sys/fs/cgroup/cpu.max': 'max 100000\n' })), cores);
  const none = { '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n', '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n' };
  assert.equal(coresAvailable(files(none)), cores);
});

test("a container's quota bounds them, rounded up and at least one", () => {
  assert.equal(coresAvailable(files({ '/sys/fs/cgroup/cpu.max': '20000 100000\n' })), 1);
  assert.equal(coresAvailable(files({ '/sys/fs/cgroup/cpu.max': '150000 100000\n' })), Math.min(2, cores));
  const old = { '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n', '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n' };
  assert.equal(coresAvailable(files(old)), 1);
});
