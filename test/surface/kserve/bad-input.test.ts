// What Triton's own tests send to break a server, in spirit: header lengths, sizes, shapes, depth, chunks, bombs.
// Each is refused with a reason, and the next request on the same connection is answered.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { RawClient, request } from '../../transport/support.ts';
import { bodyBytesMax, headerOf, infer, inferBody, serveKserve, type Input } from './support.ts';

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const three = { shape: [3], datatype: 'FP32' };
const good: Input = { ...three, bytes: floats(1, 2, 3) };
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

type Case = { readonly what: string; readonly model?: string; readonly inputs: readonly Input[]; readonly more?: object; readonly headerBytes?: string; readonly says: RegExp };

const cases: readonly Case[] = [
  ...['-1', 'x', '1e3', '99999999999999999999', '4096', ' '].map((headerBytes) => ({ what: `a header length of '${headerBytes}'`, inputs: [good], headerBytes, says: /Inference-Header-Content-Length|not valid/i })),
  { what: 'a header length that cuts the JSON', inputs: [good], headerBytes: '10', says: /not valid JSON/ },
  { what: 'fewer bytes than announced', inputs: [{ ...good, size: 16 }], says: /binary_data_size.*16.*12/ },
  { what: 'more bytes than announced', inputs: [{ ...good, size: 8 }], says: /8 bytes/ },
  { what: 'sizes that do not fit shapes', inputs: [{ ...good, shape: [2] }], says: /12 bytes.*has 8/ },
  { what: 'a negative size', inputs: [{ ...good, size: -4 }], says: /non-negative/ },
  { what: 'a size that is no integer', inputs: [{ ...good, size: 1.5 }], says: /non-negative integer/ },
  { what: 'bytes for no input', inputs: [{ ...three, data: [1, 2, 3] }, { name: 'b', ...good }], says: /'b' is no input/ },
  { what: 'a negative dimension', inputs: [{ ...good, shape: [-3] }], says: /inputs\[0\]\.shape/ },
  { what: 'a dimension that is no integer', inputs: [{ ...good, shape: [1.5] }], says: /inputs\[0\]\.shape|inputs\[0\]/ },
  { what: 'a shape beyond 2^53', inputs: [{ ...good, shape: [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1] }], says: /at most/ },
  { what: 'a shape whose product wraps to the right size', inputs: [{ ...good, shape: [2 ** 31 - 1, 2 ** 31 - 1, 3] }], says: /at most/ },
  { what: 'a shape of many dimensions', inputs: [{ ...good, shape: new Array<number>(1000).fill(1) }], says: /at most 8/ },
  { what: 'another rank', inputs: [{ ...good, shape: [3, 1] }], says: /shape \[3, 1\]/ },
  { what: 'an unknown type', inputs: [{ ...good, datatype: 'FP8' }], says: /must be one of/ },
  { what: 'BF16', inputs: [{ ...good, datatype: 'BF16' }], says: /BF16/ },
  { what: 'another type than the model takes', inputs: [{ ...good, datatype: 'INT32' }], says: /INT32.*FP32/ },
  { what: 'an input twice', inputs: [good, good], says: /given twice/ },
  { what: 'an unknown input', inputs: [{ ...good, name: '__proto__' }], says: /no input/ },
  { what: 'no input', inputs: [], says: /missing/ },
  { what: 'neither data nor size', inputs: [three], says: /neither/ },
  { what: 'both data and size', inputs: [{ ...good, data: [1, 2, 3] }], says: /both/ },
  { what: 'an output twice', inputs: [good], more: { outputs: [{ name: 'output' }, { name: 'output' }] }, says: /asked for twice/ },
  { what: 'an unknown output', inputs: [good], more: { outputs: [{ name: 'nope' }] }, says: /no output/ },
  { what: 'a classification', inputs: [good], more: { outputs: [{ name: 'output', parameters: { classification: 2 } }] }, says: /not supported/ },
  { what: 'a string as list', inputs: [{ ...three, data: 'abc' }], says: /must be a list/ },
  { what: 'too few values', inputs: [{ ...three, data: [1, 2] }], says: /2 values/ },
  { what: 'values of another type', inputs: [{ ...three, data: [1, 'x', 3] }], says: /data\[1\]/ },
  { what: 'a number beyond FP32', inputs: [{ ...three, data: [1, 1e39, 3] }], says: /data\[1\]/ },
  { what: 'FP16 as JSON', model: 'identity_float16', inputs: [{ shape: [1], datatype: 'FP16', data: [1] }], says: /binary only/ },
  { what: 'an integer out of range', model: 'identity_int8', inputs: [{ shape: [1], datatype: 'INT8', data: [128] }], says: /from -128 to 127/ },
  { what: 'a BOOL of 2', model: 'identity_bool', inputs: [{ shape: [1], datatype: 'BOOL', bytes: Uint8Array.of(2) }], says: /neither 0 nor 1/ },
  { what: 'BYTES longer than the body', model: 'identity_string', inputs: [{ shape: [1], datatype: 'BYTES', bytes: Uint8Array.of(255, 255, 255, 255, 65) }], says: /4294967295 bytes/ },
  { what: 'BYTES that end in a length', model: 'identity_string', inputs: [{ shape: [2], datatype: 'BYTES', bytes: Uint8Array.of(1, 0, 0, 0, 65, 1) }], says: /inside the length/ },
  { what: 'BYTES with too few elements', model: 'identity_string', inputs: [{ shape: [2], datatype: 'BYTES', bytes: Uint8Array.of(1, 0, 0, 0, 65) }], says: /1 elements/ },
  { what: 'BYTES with too many elements', model: 'identity_string', inputs: [{ shape: [0], datatype: 'BYTES', bytes: Uint8Array.of(0, 0, 0, 0) }], says: /more than the 0/ },
  { what: 'BYTES of a million empty elements for one', model: 'identity_string', inputs: [{ shape: [1], datatype: 'BYTES', bytes: new Uint8Array(4_000_000) }], says: /more than the 1/ },
  { what: 'BYTES that are no UTF-8', model: 'identity_string', inputs: [{ shape: [1], datatype: 'BYTES', bytes: Uint8Array.of(1, 0, 0, 0, 255) }], says: /UTF-8/ },
  { what: 'a priority that is none', inputs: [good], more: { parameters: { priority: -1 } }, says: /priority/ },
  { what: 'a timeout that is none', inputs: [good], more: { parameters: { timeout: '1' } }, says: /timeout/ },
  { what: 'a flag that is none', inputs: [good], more: { parameters: { binary_data_output: 'yes' } }, says: /true or false/ },
];

test('each is refused with a reason, and harms nothing', async (t) => {
  const { url } = await serveKserve(t);
  const okay = inferBody([good], { parameters: { binary_data_output: true } });
  for (const { what, model = 'identity_float32', inputs, more, headerBytes, says } of cases) {
    const made = inferBody(inputs, more);
    const headers = headerBytes === undefined ? headerOf(made.headerBytes) : { 'inference-header-content-length': headerBytes };
    const answer = await infer(url, model, made.body, headers);
    assert.equal(answer.status, 400, `${what}: ${JSON.stringify(answer.json).slice(0, 300)}`);
    assert.deepEqual(Object.keys(answer.json), ['error'], what);
    assert.match(answer.json.error, says, what);
    assert.doesNotMatch(answer.json.error, /\/tmp|\.onnx|\n|:\d+:\d+/, what);
  }
  const after = await infer(url, 'identity_float32', okay.body, headerOf(okay.headerBytes));
  assert.deepEqual([...new Float32Array(new Uint8Array(after.binary).buffer)], [1, 2, 3]);
});

test('JSON that is deep, long, broken or no object is refused', async (t) => {
  const { url } = await serveKserve(t);
  const start = '{"inputs":[{"name":"input","shape":[3],"datatype":"FP32","data":';
  const bodies = [
    '', '[]', 'null', '"text"', '{}', '{"inputs":{}}', '{"inputs":[null]}', '{"inputs":[{}]}', start, `${start}[1,2,NaN]}]}`, `${start}[1,2,3],}]}`,
    `${start}${nested(100_000)}}]}`, `${start}${nested(9)}}]}`, nested(1_000_000), `{"parameters":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)},"inputs":[]}`,
    `{"inputs":[{"name":"input","shape":[3],"datatype":"FP32","data":[1,2,3]}],"id":7}`, Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
  ];
  for (const body of bodies) {
    const answer = await infer(url, 'identity_float32', body);
    assert.equal(answer.status, 400, String(body).slice(0, 80));
    assert.deepEqual(Object.keys(answer.json), ['error']);
  }
  const index = await fetch(`${url}/v2/repository/index`, { method: 'POST', body: nested(1_000_000) });
  assert.equal(index.status, 400);
});

test('a compressed body inflates to no more than a plain one may have', async (t) => {
  const { url } = await serveKserve(t);
  const bomb = gzipSync(Buffer.alloc(2 * bodyBytesMax, ' '), { level: 9 });
  const answers = await Promise.all(Array.from({ length: 8 }, () => infer(url, 'identity_float32', bomb, { 'content-encoding': 'gzip' })));
  for (const { status } of answers) assert.ok(status === 413 || status === 503, String(status));
  assert.equal((await infer(url, 'identity_float32', 'not gzip', { 'content-encoding': 'gzip' })).status, 400);
  assert.equal((await infer(url, 'identity_float32', bomb.subarray(0, 100), { 'content-encoding': 'gzip' })).status, 400);
  assert.equal((await infer(url, 'identity_float32', '{}', { 'content-encoding': 'br' })).status, 415);
  const { body } = inferBody([{ ...three, data: [1, 2, 3] }]);
  assert.equal((await infer(url, 'identity_float32', gzipSync(body), { 'content-encoding': 'gzip' })).status, 200);
});

test('a body in many chunks is one body, and a body cut short harms nobody', async (t) => {
  const { url, server } = await serveKserve(t);
  const { body, headerBytes } = inferBody([{ shape: [2000], datatype: 'FP32', bytes: new Uint8Array(8000).fill(1) }], { parameters: { binary_data_output: true } });
  const head = ['POST /v2/models/identity_float32/infer HTTP/1.1', 'Host: test', `Inference-Header-Content-Length: ${headerBytes}`];
  const chunked = new RawClient(t, server.port);
  chunked.send([...head, 'Transfer-Encoding: chunked', '', ''].join('\r\n'));
  const chunks = [...body].map((byte) => Buffer.concat([Buffer.from('1\r\n'), Buffer.of(byte), Buffer.from('\r\n')]));
  chunked.send(Buffer.concat([...chunks, Buffer.from('0\r\n\r\n')]));
  const received = await chunked.waitFor('"binary_data_size":8000}}]}');
  assert.match(received, /^HTTP\/1\.1 200/);

  const cut = new RawClient(t, server.port);
  cut.send([...head, `Content-Length: ${body.length}`, '', ''].join('\r\n')).send(body.subarray(0, 500));
  cut.socket.destroy();
  assert.equal((await infer(url, 'identity_float32', body, headerOf(headerBytes))).status, 200);
});

test('paths and methods that there are none of are refused in the same shape', async (t) => {
  const { url, server } = await serveKserve(t);
  const cases: readonly (readonly [line: string, status: number])[] = [
    ['GET /v2/models', 404], ['GET /v2/models/nope', 404], ['GET /v2/models/nope/stats', 404],
    ['GET /v2/models/versions/versions/3', 404], ['GET /v2/models/versions/versions/x/config', 404], ['POST /v2/models/org/held', 404],
    ['POST /v2/models/org/held/ready', 405], ['GET /v2/models/identity_float32/infer', 405], ['DELETE /v2/models/identity_float32', 405], ['PUT /v2', 405],
    ['GET /v2/repository/index', 405], ['POST /v2/repository/models/nope/load', 404],
    ['POST /v2/repository/models/org/held/reload', 404], ['GET /v2/models/..%2f..%2fetc', 404], ['GET /v2/models/%00', 400], ['GET /v2/models/%ff', 400],
  ];
  for (const [line, status] of cases) {
    const [method, path] = line.split(' ') as [string, string];
    const answer = await fetch(url + path, { method });
    const text = await answer.text();
    assert.equal(answer.status, status, `${line}: ${text}`);
    assert.deepEqual(Object.keys(JSON.parse(text) as object), ['error'], line);
  }
  const raw = new RawClient(t, server.port).send(request('POST /v2/models/identity_float32/infer'));
  assert.match(await raw.waitFor('"error"'), /^HTTP\/1\.1 400/);
});
