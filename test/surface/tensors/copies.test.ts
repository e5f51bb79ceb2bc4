// How often the bytes of a raw tensor are copied between a WebSocket and the model.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { tensorOperations } from '../../../src/surface/tensors/operations.ts';
import { countCopies } from '../../support/copy-counter.ts';
import { identityFolder } from '../../support/identity-models.ts';
import { tensorModels } from '../../support/tensor-models.ts';
import { serveSockets } from '../../transport/socket-support.ts';

const tensorBytes = 8 * 1024 * 1024;
/** What the messages' JSON may add, as a share of the tensors. */
const slack = 0.001;
/** Once out of the frame that the socket lends; once into the frame of the answer, which is one piece of memory. */
const copiesExpected = 2;

/** A client of another thread, whose own copies do not count. Sends one message and says whether what it sent came back. */
const client = `
  const { parentPort, workerData: { ws, port, version, body, tensors, data } } = require('node:worker_threads');
  const socket = new (require(ws))('ws://127.0.0.1:' + port + '/v1/stream');
  const json = Buffer.from(JSON.stringify({ id: '1', op: body.requests ? 'infer_batch' : 'infer', params: { version }, binary: true, body, tensors }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  socket.once('open', () => socket.send(Buffer.concat([length, json, data])));
  const got = [];
  socket.on('message', (bytes, isBinary) => {
    if (!isBinary) {
      const { type, error } = JSON.parse(bytes);
      if (error || type === 'summary') parentPort.postMessage(error ?? got);
      return;
    }
    const start = 4 + bytes.readUInt32LE(0);
    const { index, tensors: outputs } = JSON.parse(bytes.toString('utf8', 4, start));
    for (const { name, offset, bytes: size } of outputs) {
      const first = bytes[start + offset];
      got.push([index, name, bytes.subarray(start + offset, start + offset + size).every((each) => each === first), first, size]);
    }
  });
`;

type Sent = { readonly version: string; readonly body: object; readonly tensors: readonly object[]; readonly data: Uint8Array };

const floats = (name: string, offset: number) => ({ name, datatype: 'float32', shape: [tensorBytes / 4], offset, bytes: tensorBytes });

/** Tensors one after another, the n-th of bytes n, after `padding` bytes that are of none. */
function message(version: string, body: object, names: readonly string[], padding = 0): Sent {
  const data = Buffer.alloc(padding + names.length * tensorBytes);
  names.forEach((_, i) => data.fill(i + 1, padding + i * tensorBytes, padding + (i + 1) * tensorBytes));
  return { version, body, tensors: names.map((name, i) => floats(name, padding + i * tensorBytes)), data };
}

const sent: Readonly<Record<string, Sent>> = {
  'one tensor': message('identity_float32:1', {}, ['input']),
  'one that is not aligned': message('identity_float32:1', {}, ['input'], 3),
  'one each of two requests': message('identity_float32:1', { requests: [{}, {}] }, ['/requests/0/input', '/requests/1/input']),
};

test('a raw tensor is copied once on the way in and once on the way out', async (t) => {
  const { directory, remove } = identityFolder();
  t.after(remove);
  const models = tensorModels(t, directory);
  const { port } = await serveSockets(t, tensorOperations({ models }), { requestBytesMax: 3 * tensorBytes });
  await models.load('identity_float32:1', 'model');
  const counter = countCopies(4096);
  t.after(() => counter.stop());
  for (const [what, workerData] of Object.entries(sent)) {
    counter.take();
    const ws = createRequire(import.meta.url).resolve('ws');
    const worker = new Worker(client, { eval: true, workerData: { ...workerData, ws, port } });
    const got = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    const copiesPerByte = counter.take() / (workerData.tensors.length * tensorBytes);
    assert.deepEqual((got as unknown[][]).sort(), workerData.tensors.map((_, i) => [i, 'output', true, i + 1, tensorBytes]), what);
    assert.ok(Math.abs(copiesPerByte - copiesExpected) < slack, `${what}: ${copiesPerByte} copies per byte`);
    await worker.terminate();
  }
});
