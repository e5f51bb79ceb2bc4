// The same gRPC calls to a real Triton Inference Server and to this one: the same statuses, the same fields, and where
// they differ, as docs/kserve.md says.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { status, type ServiceError } from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { tinyBertDirectory } from '../support/fixtures.ts';
import { identityFolder } from '../support/identity-models.ts';
import { missingFields } from '../support/missing-fields.ts';
import { repositoryDirectory } from '../support/repository.ts';
import { startServerProcess } from '../support/server-process.ts';
import { skipUnlessTriton, startTritonServer } from '../support/triton-server.ts';
import { connect, serviceName, type RawGrpc } from '../transport/grpc/support.ts';

const skip = skipUnlessTriton();

/** Without defaults: a field that a server leaves out is not there. */
const service = loadSync('inference.proto', {
  includeDirs: [join(repositoryDirectory, 'src/proto')], keepCase: true, longs: String, enums: String, oneofs: true,
})[serviceName] as ServiceDefinition;

/** A model of each that takes one BYTES input. */
type Peer = { readonly grpc: RawGrpc; readonly model: string; readonly input: string; readonly output: string; readonly shape: readonly number[] };
type Made = { readonly method: string; readonly message: object };
type Answer = { readonly code: string; readonly details: string; readonly message: any };
type Case = { readonly what: string; readonly make: (peer: Peer) => Made; readonly differs?: Difference };
/** Triton's status, ours, and how docs/kserve.md calls the call. */
type Difference = readonly [string, string, string];

const ask = (method: string, fields: object | ((peer: Peer) => object) = {}) => (peer: Peer): Made => ({
  method, message: typeof fields === 'function' ? fields(peer) : fields,
});

/** One element "AB", raw. */
const raw = Buffer.from('\x02\0\0\0AB', 'latin1');

const inferMessage = (peer: Peer, input: object = {}, more: object = {}): object => ({
  model_name: peer.model,
  inputs: [{ name: peer.input, datatype: 'BYTES', shape: peer.shape, ...input }],
  raw_input_contents: [raw],
  ...more,
});
const infer = (input: object = {}, more: object = {}) => ask('ModelInfer', (peer) => inferMessage(peer, input, more));
const contents = (input: object, more: object = {}) => infer(input, { raw_input_contents: [], ...more });

const unknownStatistics: Difference = ['INVALID_ARGUMENT', 'NOT_FOUND', 'Statistics of an unknown model or version'];
const settings: Difference = ['OK', 'UNIMPLEMENTED', 'Shared memory, trace and log settings'];

const cases: readonly Case[] = [
  ...['ServerLive', 'ServerReady', 'ServerMetadata'].map((method) => ({ what: method, make: ask(method) })),
  ...['ModelReady', 'ModelMetadata', 'ModelConfig', 'ModelStatistics'].flatMap((method) => [
    { what: method, make: ask(method, ({ model }) => ({ name: model })) },
    { what: `${method} of a version`, make: ask(method, ({ model }) => ({ name: model, version: '1' })) },
    ...[{ name: 'nope' }, { version: '9' }].map((other) => ({
      what: `${method} of ${JSON.stringify(other)}`,
      make: ask(method, ({ model }) => ({ name: model, ...other })),
      ...(method === 'ModelStatistics' && { differs: unknownStatistics }),
    })),
  ]),
  { what: 'statistics of all', make: ask('ModelStatistics') },
  { what: 'metadata of no name', make: ask('ModelMetadata') },
  { what: 'the index', make: ask('RepositoryIndex') },
  { what: 'the index of what is ready', make: ask('RepositoryIndex', { ready: true }) },
  { what: 'raw contents', make: infer({}, { id: 'mine' }) },
  { what: 'typed contents', make: contents({ contents: { bytes_contents: [Buffer.from('AB')] } }) },
  { what: 'a version', make: infer({}, { model_version: '1' }) },
  { what: 'a named output', make: ask('ModelInfer', (peer) => inferMessage(peer, {}, { outputs: [{ name: peer.output }] })) },
  { what: 'both kinds of contents', make: infer({ contents: { bytes_contents: [Buffer.from('AB')] } }) },
  { what: 'neither', make: contents({}) },
  { what: 'no inputs', make: infer({}, { inputs: [], raw_input_contents: [] }) },
  { what: 'another type', make: contents({ datatype: 'INT32', contents: { int_contents: [1] } }) },
  { what: 'an unknown type', make: infer({ datatype: 'NOPE' }) },
  { what: 'contents in the field of another type', make: contents({ contents: { int_contents: [1] } }) },
  { what: 'too many values', make: contents({ contents: { bytes_contents: [Buffer.from('A'), Buffer.from('B')] } }) },
  { what: 'another rank', make: ask('ModelInfer', (peer) => inferMessage(peer, { shape: [...peer.shape, 1] })) },
  { what: 'a negative size', make: ask('ModelInfer', (peer) => inferMessage(peer, { shape: peer.shape.map(() => -1) })) },
  { what: 'a huge shape', make: ask('ModelInfer', (peer) => inferMessage(peer, { shape: peer.shape.map(() => 2 ** 40) })) },
  { what: 'an unknown model', make: infer({}, { model_name: 'nope' }) },
  { what: 'an unknown version', make: infer({}, { model_version: '9' }) },
  { what: 'a version that is no number', make: infer({}, { model_version: 'x' }), differs: ['INVALID_ARGUMENT', 'NOT_FOUND', 'A version that is no number'] },
  { what: 'an unknown input', make: infer({ name: 'nope' }) },
  { what: 'an input twice', make: ask('ModelInfer', (peer) => {
    const { inputs: [one] } = inferMessage(peer) as { inputs: object[] };
    return inferMessage(peer, {}, { inputs: [one, one], raw_input_contents: [raw, raw] });
  }) },
  { what: 'an unknown output', make: infer({}, { outputs: [{ name: 'nope' }] }) },
  { what: 'an output twice', make: ask('ModelInfer', (peer) => inferMessage(peer, {}, { outputs: [{ name: peer.output }, { name: peer.output }] })), differs: ['OK', 'INVALID_ARGUMENT', 'The same output named twice'] },
  { what: 'more raw contents than inputs', make: infer({}, { raw_input_contents: [raw, raw] }), differs: ['OK', 'INVALID_ARGUMENT', 'More `raw_input_contents` than inputs'] },
  { what: 'an element beyond its bytes', make: infer({}, { raw_input_contents: [Buffer.from('\xff\0\0\0AB', 'latin1')] }) },
  { what: 'bytes after the last element', make: infer({}, { raw_input_contents: [Buffer.from('\x01\0\0\0AB', 'latin1')] }) },
  { what: 'no bytes', make: infer({}, { raw_input_contents: [Buffer.alloc(0)] }) },
  { what: 'a priority where there are none', make: infer({}, { parameters: { priority: { uint64_param: 5 } } }) },
  { what: 'a timeout that does not pass', make: infer({}, { parameters: { timeout: { int64_param: 60_000_000 } } }) },
  { what: 'a parameter that nobody knows', make: infer({}, { parameters: { colour: { string_param: 'red' } } }) },
  { what: 'a shared memory region', make: infer({ parameters: { shared_memory_region: { string_param: 'nope' }, shared_memory_byte_size: { int64_param: 6 } } }, { raw_input_contents: [] }), differs: ['NOT_FOUND', 'INVALID_ARGUMENT', 'An input in shared memory that is not registered'] },
  ...['SystemSharedMemoryStatus', 'CudaSharedMemoryStatus', 'TraceSetting', 'LogSettings'].map((method) => ({ what: method, make: ask(method), differs: settings })),
];

/** Over a stream, where errors are answers. */
const streamed: readonly (Pick<Case, 'what' | 'make'>)[] = cases.filter(({ what }) => (
  ['raw contents', 'typed contents', 'an unknown model', 'an unknown output', 'another type', 'a named output'].includes(what)));

async function answerOf({ grpc }: Peer, { method, message }: Made): Promise<Answer> {
  const { requestSerialize, responseDeserialize } = service[method]!;
  try {
    const bytes = await grpc.call(method, requestSerialize(message));
    return { code: 'OK', details: '', message: responseDeserialize(bytes) };
  } catch (thrown) {
    const { code, details } = thrown as ServiceError;
    return { code: status[code], details, message: undefined };
  }
}

/** Triton and this server, each with a model that is loaded. */
async function peers(t: import('node:test').TestContext): Promise<readonly [Peer, Peer]> {
  const { directory, remove } = identityFolder();
  t.after(remove);
  const [triton, server] = await Promise.all([
    startTritonServer(t), startServerProcess(t, { MODEL_PATH: tinyBertDirectory, MODEL_DIR: directory, GRPC_PORT: '0' }),
  ]);
  const { port } = server.lines.find(({ msg }) => msg === 'listening for gRPC') as { port: number };
  const theirs: Peer = { grpc: connect(t, Number(triton.address.split(':')[1])), model: '_internal_tokenizer', input: 'sequences', output: 'input_ids', shape: [1, 1] };
  const mine: Peer = { grpc: connect(t, port), model: 'identity_string', input: 'input', output: 'output', shape: [1] };
  assert.equal((await answerOf(mine, { method: 'RepositoryModelLoad', message: { model_name: mine.model } })).code, 'OK');
  return [theirs, mine];
}

async function streamedAnswer({ grpc }: Peer, { message }: Made): Promise<any> {
  const { requestSerialize, responseDeserialize } = service['ModelStreamInfer']!;
  const stream = grpc.stream('ModelStreamInfer');
  stream.write(requestSerialize({ ...message, id: 'streamed' }));
  const [bytes] = (await once(stream, 'data')) as [Buffer];
  stream.end();
  stream.resume();
  await once(stream, 'end');
  return responseDeserialize(bytes);
}

test('Triton and this server answer alike over gRPC', { skip }, async (t) => {
  const [triton, ours] = await peers(t);

  for (const { what, make, differs } of cases) {
    const [theirs, mine] = await Promise.all([answerOf(triton, make(triton)), answerOf(ours, make(ours))]);
    const [their = theirs.code, our = theirs.code] = differs ?? [];
    assert.deepEqual([theirs.code, mine.code], [their, our], `${what}: ${theirs.details} | ${mine.details}`);
    if (mine.code !== 'OK') assert.notEqual(mine.details, '', what);
    // Nothing that Triton tells of a tensor, a model or a request is missing; the rest is its own settings.
    if (theirs.code === 'OK' && mine.code === 'OK' && make(triton).method !== 'ModelConfig') assert.deepEqual(missingFields(theirs.message, mine.message), [], what);
  }

  await t.test('over a stream, errors included', async () => {
    assert.equal(streamed.length, 6);
    for (const { what, make } of streamed) {
      const [theirs, mine] = await Promise.all([streamedAnswer(triton, make(triton)), streamedAnswer(ours, make(ours))]);
      assert.equal(Boolean(mine.error_message), Boolean(theirs.error_message), what);
      assert.deepEqual(missingFields(theirs, mine), [], what);
      assert.equal(mine.infer_response.id, theirs.infer_response.id, what);
    }
  });

  const documented = readFileSync(join(repositoryDirectory, 'docs/kserve.md'), 'utf8');
  for (const [theirs, mine, row] of cases.flatMap(({ differs }) => (differs === undefined ? [] : [differs]))) {
    assert.ok(documented.includes(`| ${row} | \`${theirs}\` | \`${mine}\` |`), row);
  }
});
