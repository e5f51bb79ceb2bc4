// `node dist/bench/transport.js [seconds]`: what each way to send a tensor costs, with a model that only gives it back.
// For each size: JSON, binary, gRPC and WebSocket against a server of its own process, beside a bare ONNX Runtime call in
// this one and, where there is one, beside a Triton whose Python backend gives the tensor back.
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, credentials } from '@grpc/grpc-js';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { Pool } from 'undici';
import WebSocket from 'ws';
import { Client as OwnClient } from '../src/client/client.ts';
import type { SocketConstructor } from '../src/client/stream.ts';
import { serviceName } from '../src/proto/inference.ts';
import { loadMessages } from '../src/surface/kserve/grpc/messages.ts';
import { identity, identityFolder } from '../test/support/identity-models.ts';
import { startTritonIdentity } from './triton-identity.ts';

const seconds = Number(process.argv[2] ?? 1);
const sizes = [1024, 16 * 1024, 256 * 1024, 1024 ** 2, 4 * 1024 ** 2, 16 * 1024 ** 2];
/** As JSON a float takes about ten bytes, and nobody sends more of them so. */
const jsonBytesMax = 1024 ** 2;
const concurrency = 4;
const warmUps = 8;
const fixtures = new URL('../../test/fixtures/tiny-bert', import.meta.url);

type Way = { readonly name: string; send(): Promise<number> };
type Measured = { readonly perSecond: number; readonly p50Ms: number };
type Ports = { readonly httpPort: number; readonly grpcPort: number };
type BenchServer = Ports & { readonly process: ChildProcess };

const { directory, remove } = identityFolder();
const triton = await startTritonIdentity();
const [server, counting] = await Promise.all([startServer([]), startServer(['--import', new URL('./count-copies.js', import.meta.url).href])]);
try {
  console.log(['tensor'.padStart(8), 'way'.padEnd(18), 'requests/s'.padStart(10), 'MB/s'.padStart(8), 'p50 ms'.padStart(8), 'copies/byte'].join('  '));
  for (const bytes of sizes) {
    for (const way of [...ways(server, bytes), await socketWay(server, bytes), await bare(bytes), ...tritonWays(bytes)]) {
      const { perSecond, p50Ms } = await measure(way, way.name === 'bare ONNX' ? 1 : concurrency);
      const copies = way.name === 'bare ONNX' || way.name.startsWith('Triton') ? '' : (await copiesPerByte(way.name, bytes)).toFixed(2);
      console.log([sizeText(bytes).padStart(8), way.name.padEnd(18), perSecond.toFixed(0).padStart(10), ((perSecond * bytes) / 1e6).toFixed(0).padStart(8), p50Ms.toFixed(2).padStart(8), copies.padStart(11)].join('  '));
    }
  }
} finally {
  for (const each of [server, counting]) each.process.kill('SIGTERM');
  remove();
  await triton.stop();
}
if (triton.reason !== '') console.log(`no Triton: ${triton.reason}`);
// Connections of the clients are still open.
process.exit(0);

function ways({ httpPort, grpcPort }: Ports, bytes: number): Way[] {
  const http = new Pool(`http://127.0.0.1:${httpPort}`, { connections: concurrency });
  const path = '/v2/models/identity_float32/infer';
  const values = Float32Array.from({ length: bytes / 4 }, (_, i) => Math.sin(i));
  const tensor = Buffer.from(values.buffer);
  const input = { name: 'input', shape: [values.length], datatype: 'FP32' };
  const header = Buffer.from(JSON.stringify({ inputs: [{ ...input, parameters: { binary_data_size: bytes } }], parameters: { binary_data_output: true } }));
  const body = Buffer.concat([header, tensor]);
  const post = async (payload: Buffer, headers: Record<string, string>): Promise<number> => {
    const answer = await http.request({ method: 'POST', path, body: payload, headers });
    const { byteLength } = await answer.body.arrayBuffer();
    if (answer.statusCode !== 200) throw new Error(`HTTP ${answer.statusCode}`);
    return byteLength;
  };
  const grpc = new Client(`127.0.0.1:${grpcPort}`, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  const message = Buffer.from(requestMessage({ model_name: 'identity_float32', inputs: [input], raw_input_contents: [tensor] }));
  const call = (): Promise<number> => new Promise((resolve, reject) => {
    grpc.makeUnaryRequest(`/${serviceName}/ModelInfer`, asIs, asIs, message, (error, answer) => (error === null ? resolve(answer!.length) : reject(error)));
  });
  const json = bytes > jsonBytesMax ? [] : [{ name: 'HTTP JSON', send: jsonSender(JSON.stringify({ inputs: [{ ...input, data: [...values] }] }), post) }];
  return [...json, { name: 'HTTP binary', send: () => post(body, { 'inference-header-content-length': String(header.length) }) }, { name: 'gRPC', send: call }];
}

function jsonSender(text: string, post: (body: Buffer, headers: Record<string, string>) => Promise<number>): () => Promise<number> {
  const body = Buffer.from(text);
  return () => post(body, {});
}

/** One connection for all requests in flight. */
async function socketWay({ httpPort }: Ports, bytes: number): Promise<Way> {
  const client = new OwnClient({ url: `http://127.0.0.1:${httpPort}`, WebSocket: WebSocket as unknown as SocketConstructor });
  const stream = await client.stream();
  const data = Float32Array.from({ length: bytes / 4 }, (_, i) => Math.sin(i));
  const input = { datatype: 'float32', data, shape: [data.length] };
  return { name: 'WebSocket', send: async () => (await stream.infer('identity_float32:1', { input })).tensors['output']!.data.length };
}

function tritonWays(bytes: number): Way[] {
  if (triton.server === undefined) return [];
  const portOf = (address: string): number => Number(address.split(':').at(-1));
  const ports = { httpPort: portOf(triton.server.httpUrl), grpcPort: portOf(triton.server.address) };
  return ways(ports, bytes).map((way) => ({ ...way, name: `Triton ${way.name}` }));
}

async function bare(bytes: number): Promise<Way> {
  const session = await InferenceSession.create(identity('float32', ['n']), { intraOpNumThreads: 1 });
  const tensor = new Tensor('float32', new Float32Array(bytes / 4), [bytes / 4]);
  return { name: 'bare ONNX', send: async () => (await session.run({ input: tensor })).output!.size };
}

async function measure(way: Way, inFlight: number): Promise<Measured> {
  for (let i = 0; i < warmUps; i++) await way.send();
  const times: number[] = [];
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (performance.now() < endMs) {
      const sentMs = performance.now();
      await way.send();
      times.push(performance.now() - sentMs);
    }
  }));
  const elapsedS = (performance.now() - startMs) / 1000;
  return { perSecond: times.length / elapsedS, p50Ms: times.sort((a, b) => a - b)[Math.floor(times.length / 2)]! };
}

/** On a server that counts, which would be slower. Pieces of less than 512 bytes are not counted. */
async function copiesPerByte(name: string, bytes: number): Promise<number> {
  const way = [...ways(counting, bytes), await socketWay(counting, bytes)].find((each) => each.name === name)!;
  await way.send();
  await counted();
  const requests = 4;
  for (let i = 0; i < requests; i++) await way.send();
  return (await counted()) / requests / bytes;
}

function counted(): Promise<number> {
  return new Promise((resolve) => {
    counting.process.once('message', resolve);
    counting.process.send('copies');
  });
}

async function startServer(flags: readonly string[]): Promise<BenchServer> {
  const main = fileURLToPath(new URL('../src/main.js', import.meta.url));
  const env = {
    PATH: process.env['PATH'], PORT: '0', GRPC_PORT: '0', MODEL_DIR: directory, MODEL_PATH: fileURLToPath(fixtures), ENABLE_HISTORY: 'false',
    MAX_REQUEST_SIZE: String(64 * 1024 ** 2), LOG_LEVEL: 'info',
  };
  const child = spawn(process.execPath, [...flags, main], { env, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const ports = new Map<string, number>();
  for await (const line of createInterface({ input: child.stdout! })) {
    const { msg, port } = JSON.parse(line) as { msg: string; port: number };
    ports.set(msg, port);
    if (msg === 'model ready') break;
  }
  child.stdout!.resume();
  return { process: child, httpPort: ports.get('listening')!, grpcPort: ports.get('listening for gRPC')! };
}

function requestMessage(request: object): Uint8Array {
  const service = loadMessages().definition[serviceName] as unknown as Record<string, { requestSerialize(message: object): Uint8Array }>;
  return service['ModelInfer']!.requestSerialize(request);
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function sizeText(bytes: number): string {
  return bytes < 1024 ** 2 ? `${bytes / 1024} KB` : `${bytes / 1024 ** 2} MB`;
}
