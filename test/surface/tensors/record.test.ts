// What the history is told of requests to a model that cannot be loaded.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { HistoryEntry } from '../../../src/history/row.ts';
import { tensorOperations } from '../../../src/surface/tensors/operations.ts';
import { tensorModels } from '../../support/tensor-models.ts';
import { serve } from '../../transport/support.ts';

test('every request leaves a row, one by one, in a batch and in a stream', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'ortserve-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(path.join(directory, 'broken.onnx'), 'no model');
  const rows: HistoryEntry[] = [];
  const operations = tensorOperations({ models: tensorModels(t, directory), record: (entry) => void rows.push(entry) });
  const { url } = await serve(t, operations);
  const post = (tail: string, body: unknown) => fetch(`${url}/models/broken/inference${tail}`, { method: 'POST', body: JSON.stringify(body) });
  await post('', { x: [1] });
  const requests = [{ x: [1] }, { x: [1, 2] }, 5];
  await post('/batch', { requests });
  await (await post('/batch', { requests, stream: true })).text();
  assert.deepEqual(rows.map(({ model, errorCode, inputs }) => [model, errorCode, inputs?.[0]?.shape]), [
    ['broken', 'MODEL_NOT_READY', [1]],
    ['broken', 'MODEL_NOT_READY', [1]], ['broken', 'MODEL_NOT_READY', [2]],
    ['broken', 'MODEL_NOT_READY', [1]], ['broken', 'MODEL_NOT_READY', [2]],
  ]);
});
