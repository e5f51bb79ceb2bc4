// How often the bytes of a tensor are copied between the socket and the model.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { countCopies } from '../../support/copy-counter.ts';
import { serveKserve } from './support.ts';

const tensorBytes = 8 * 1024 * 1024;
/** What the head of a body and of an answer may add, as a share of the tensor. */
const slack = 0.001;

/** A client of another thread, whose own copies do not count. */
const client = `
  const { parentPort, workerData: { url, tensorBytes, headerPadding } } = require('node:worker_threads');
  const input = { name: 'input', shape: [tensorBytes / 4], datatype: 'FP32', parameters: { binary_data_size: tensorBytes } };
  const json = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }) + ' '.repeat(headerPadding));
  const tensor = Buffer.alloc(tensorBytes, 7);
  fetch(url + '/v2/models/identity_float32/infer', {
    method: 'POST', body: Buffer.concat([json, tensor]), headers: { 'inference-header-content-length': String(json.length) },
  }).then(async (answer) => {
    const bytes = Buffer.from(await answer.arrayBuffer());
    parentPort.postMessage(answer.status === 200 && bytes.subarray(-tensorBytes).equals(tensor));
  });
`;

test('a binary tensor is copied once on the way in and never on the way out', async (t) => {
  const { url } = await serveKserve(t);
  // Loads the model, so that its file is not counted.
  await fetch(`${url}/v2/models/identity_float32`);
  const counter = countCopies(4096);
  t.after(() => counter.stop());
  // Whatever the length of the JSON, the tensor after it is aligned.
  for (const headerPadding of [0, 1, 2, 3, 5]) {
    counter.take();
    const worker = new Worker(client, { eval: true, workerData: { url, tensorBytes, headerPadding } });
    const isEqual = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    assert.equal(isEqual, true);
    const copiesPerByte = counter.take() / tensorBytes;
    assert.ok(Math.abs(copiesPerByte - 1) < slack, `${copiesPerByte} copies per byte`);
    await worker.terminate();
  }
});
