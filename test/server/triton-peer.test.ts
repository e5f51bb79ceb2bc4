// The same requests to a real Triton Inference Server and to this one: the same statuses, the same fields, and where
// they differ, as docs/kserve.md says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { identityFolder } from '../support/identity-models.ts';
import { missingFields } from '../support/missing-fields.ts';
import { repositoryDirectory } from '../support/repository.ts';
import { startServerProcess } from '../support/server-process.ts';
import { skipUnlessTriton, startTritonServer } from '../support/triton-server.ts';

const skip = skipUnlessTriton();

/** A model of each that takes one BYTES input, and how a client must call it. */
type Peer = { readonly url: string; readonly model: string; readonly input: string; readonly output: string; readonly shape: readonly number[] };
type Made = { readonly method?: string; readonly path: string; readonly body?: string | Uint8Array; readonly headers?: Record<string, string> };
type Answer = { readonly status: number; readonly headers: Headers; readonly json: any };
type Case = { readonly what: string; readonly make: (peer: Peer) => Made; /** Only where they differ: Triton's status and ours. */ readonly differs?: readonly [number, number] };

const infer = (peer: Peer, changes: object = {}, more: object = {}): Made => {
  const input = { name: peer.input, shape: peer.shape, datatype: 'BYTES', data: ['AB'], ...changes };
  return { path: `/v2/models/${peer.model}/infer`, body: JSON.stringify({ inputs: [input], ...more }) };
};

const binary = (peer: Peer, { size, headerLength, bytes = Buffer.from('\x02\0\0\0AB', 'latin1') }: { size?: number; headerLength?: string; bytes?: Buffer } = {}, more: object = {}): Made => {
  const input = { name: peer.input, shape: peer.shape, datatype: 'BYTES', parameters: { binary_data_size: size ?? bytes.length } };
  const json = Buffer.from(JSON.stringify({ inputs: [input], ...more }));
  return {
    path: `/v2/models/${peer.model}/infer`,
    body: Buffer.concat([json, bytes]),
    headers: { 'inference-header-content-length': headerLength ?? String(json.length) },
  };
};

const get = (path: string, method = 'GET', body?: string) => (peer: Peer): Made => ({ method, path: path.replace('%', peer.model), ...(body !== undefined && { body }) });

const cases: readonly Case[] = [
  ...['/v2', '/v2/health/live', '/v2/health/ready', '/v2/models/%', '/v2/models/%/versions/1', '/v2/models/%/config', '/v2/models/%/stats', '/v2/models/%/ready', '/v2/models/stats']
    .map((path) => ({ what: path, make: get(path) })),
  ...['/v2/models/nope', '/v2/models/nope/config', '/v2/models/nope/ready', '/v2/models/%/versions/9', '/v2/models/%/versions/9/ready', '/v2/nope']
    .map((path) => ({ what: path, make: get(path) })),
  { what: 'the index', make: get('/v2/repository/index', 'POST') },
  { what: 'the index of what is ready', make: get('/v2/repository/index', 'POST', '{"ready":true}') },
  ...['GET /v2/repository/index', 'GET /v2/models/%/infer', 'DELETE /v2/models/%', 'POST /v2'].map((line) => ({ what: line, make: get(line.split(' ')[1]!, line.split(' ')[0]!) })),
  { what: 'statistics of no model', make: get('/v2/models/nope/stats'), differs: [400, 404] },
  { what: 'JSON', make: (peer) => infer(peer) },
  { what: 'nested JSON', make: (peer) => infer(peer, { data: [[['AB']]] }) },
  { what: 'binary', make: (peer) => binary(peer) },
  { what: 'binary there and back', make: (peer) => binary(peer, {}, { parameters: { binary_data_output: true } }) },
  { what: 'a raw body', make: (peer) => ({ path: `/v2/models/${peer.model}/infer`, body: 'AB', headers: { 'inference-header-content-length': '0' } }) },
  { what: 'gzip', make: (peer) => { const { path, body, headers } = binary(peer); return { path, body: gzipSync(body!), headers: { ...headers, 'content-encoding': 'gzip' } }; } },
  { what: 'gzip that is none', make: (peer) => ({ ...infer(peer), headers: { 'content-encoding': 'gzip' } }), differs: [500, 400] },
  { what: 'no inputs', make: (peer) => ({ ...infer(peer), body: '{"inputs":[]}' }) },
  { what: 'another type', make: (peer) => infer(peer, { datatype: 'INT32', data: [1] }) },
  { what: 'an unknown type', make: (peer) => infer(peer, { datatype: 'NOPE' }) },
  { what: 'an unknown input', make: (peer) => infer(peer, { name: 'nope' }) },
  { what: 'an unknown output', make: (peer) => infer(peer, {}, { outputs: [{ name: 'nope' }] }) },
  { what: 'no data', make: (peer) => infer(peer, { data: undefined }) },
  { what: 'too many values', make: (peer) => infer(peer, { data: ['A', 'B'] }) },
  { what: 'a huge shape', make: (peer) => infer(peer, { shape: peer.shape.map(() => 2 ** 40) }) },
  { what: 'a priority where there are none', make: (peer) => infer(peer, {}, { parameters: { priority: 5 } }) },
  { what: 'a header length of -1', make: (peer) => binary(peer, { headerLength: '-1' }) },
  { what: 'a header length beyond the body', make: (peer) => binary(peer, { headerLength: '100000' }) },
  { what: 'fewer bytes than announced', make: (peer) => binary(peer, { size: 100 }) },
  { what: 'more bytes than announced', make: (peer) => binary(peer, { size: 2 }) },
  { what: 'an element beyond its bytes', make: (peer) => binary(peer, { bytes: Buffer.from('\xff\0\0\0AB', 'latin1') }) },
  { what: 'bytes after the last element', make: (peer) => binary(peer, { bytes: Buffer.from('\x01\0\0\0AB', 'latin1') }) },
  { what: 'no JSON', make: (peer) => ({ ...infer(peer), body: '{' }), differs: [500, 400] },
  { what: 'no list of inputs', make: (peer) => ({ ...infer(peer), body: '{}' }), differs: [500, 400] },
  { what: 'a negative dimension', make: (peer) => infer(peer, { shape: [-1] }), differs: [500, 400] },
  { what: 'an output twice', make: (peer) => infer(peer, {}, { outputs: [{ name: peer.output }, { name: peer.output }] }), differs: [200, 400] },
  { what: 'an unknown encoding', make: (peer) => ({ ...infer(peer), headers: { 'content-encoding': 'br' } }), differs: [501, 415] },
];

async function ask(peer: Peer, { method, path, body, headers = {} }: Made): Promise<Answer> {
  const init = { method: method ?? 'POST', headers: { 'accept-encoding': 'identity', ...headers }, ...(body !== undefined && { body }) };
  const answer = await fetch(peer.url + path, init);
  const bytes = Buffer.from(await answer.arrayBuffer());
  const length = Number(answer.headers.get('inference-header-content-length') ?? bytes.length);
  return { status: answer.status, headers: answer.headers, json: length === 0 ? undefined : JSON.parse(bytes.subarray(0, length).toString()) };
}

test('Triton and this server answer alike', { skip }, async (t) => {
  const { directory, remove } = identityFolder();
  t.after(remove);
  const options = { MODEL_PATH: tinyBertDirectory, MODEL_DIR: directory };
  const [{ httpUrl }, server] = await Promise.all([startTritonServer(t), startServerProcess(t, options)]);
  const triton: Peer = { url: httpUrl, model: '_internal_tokenizer', input: 'sequences', output: 'input_ids', shape: [1, 1] };
  const ours: Peer = { url: server.url, model: 'identity_string', input: 'input', output: 'output', shape: [1] };
  await ask(ours, { path: '/v2/repository/models/identity_string/load' });
  for (const { what, make, differs } of cases) {
    const [theirs, mine] = await Promise.all([ask(triton, make(triton)), ask(ours, make(ours))]);
    const statuses = [theirs.status, mine.status];
    assert.deepEqual(statuses, differs ?? [theirs.status, theirs.status], `${what}: ${JSON.stringify([theirs.json, mine.json]).slice(0, 500)}`);
    if (mine.status >= 400 && mine.status !== 405) assert.equal(typeof mine.json.error, 'string', what);
    if (theirs.status !== 200 || mine.status !== 200 || theirs.json === undefined) continue;
    // Nothing that Triton tells of a tensor, a model or a request is missing; the rest is its own settings.
    if (what !== '/v2/models/%/config') assert.deepEqual(missingFields(theirs.json, mine.json), [], what);
    assert.equal(mine.headers.get('content-type'), theirs.headers.get('content-type'), what);
    assert.equal(mine.headers.has('inference-header-content-length'), theirs.headers.has('inference-header-content-length'), what);
  }
  const documented = readFileSync(join(repositoryDirectory, 'docs/kserve.md'), 'utf8');
  for (const [theirs, mine] of cases.flatMap(({ differs }) => (differs === undefined || differs[0] === 200 ? [] : [differs]))) {
    assert.match(documented, new RegExp(`\\| ${theirs}\\b[^|]*\\| ${mine}\\b`));
  }
});
