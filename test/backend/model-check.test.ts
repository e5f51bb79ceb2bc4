// The child process of a check: ended at its limits, when nobody waits, and when it has answered.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { checkModel } from '../../src/backend/model-check.ts';
import { ServerError } from '../../src/errors.ts';
import { doubling, endlessLoop, hostileModels } from '../support/hostile-models.ts';

const trial = { kind: 'run' as const, inputs: [{ name: 'x', datatype: 'float32' as const, shape: [2, 2], fill: 0 }], outputs: ['y'] };
const scalar = { ...trial, inputs: [{ name: 'x', datatype: 'float32' as const, shape: [], fill: 0 }] };

function check(t: TestContext, bytes: Buffer, changes: { timeMsMax?: number; signal?: AbortSignal } = {}, trials = [trial]) {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-check-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(path.join(directory, 'model.onnx'), bytes);
  const { signal } = new AbortController();
  return checkModel({ directory, onnxFile: 'model.onnx', memoryBytesMax: 400 * 1024 ** 2, timeMsMax: 20_000, signal, ...changes }, () => trials);
}

const refused = (reason: RegExp) => (error: unknown) => error instanceof ServerError && error.code === 'MODEL_INVALID' && reason.test(error.message);

const children = (): string => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();

test('a good model is described', async (t) => {
  const { inputs, outputs } = await check(t, doubling);
  assert.deepEqual(inputs, [{ name: 'x', datatype: 'float32', shape: ['rows', 2] }]);
  assert.deepEqual(outputs.map(({ name }) => name), ['y']);
  assert.equal(children(), '');
});

test('the first trial that the model takes is enough', async (t) => {
  const wrong = { ...trial, inputs: [{ name: 'x', datatype: 'float32' as const, shape: [3], fill: 0 }] };
  await check(t, doubling, {}, [wrong, trial]);
  await assert.rejects(check(t, doubling, {}, [wrong]), refused(/rank/i));
  await assert.rejects(check(t, doubling, {}, []), refused(/too large to be tried/));
});

test('what runs for ever is ended', async (t) => {
  await assert.rejects(check(t, endlessLoop, { timeMsMax: 1500 }, [scalar]), refused(/within 1.5 s/));
  assert.equal(children(), '');
});

test('what takes too much memory is ended', async (t) => {
  const [bytes] = hostileModels['a constant of 3 GB']!;
  const one = { ...trial, inputs: [{ name: 'x', datatype: 'float32' as const, shape: [1], fill: 0 }] };
  await assert.rejects(check(t, bytes, {}, [one]), refused(/more than 400 MB of memory/));
});

test('a check that nobody waits for ends', async (t) => {
  const abort = new AbortController();
  const checking = check(t, endlessLoop, { signal: abort.signal }, [scalar]);
  await sleep(500);
  abort.abort();
  await assert.rejects(checking, (error: unknown) => error instanceof ServerError && error.code === 'CANCELLED');
  assert.equal(children(), '');
});
