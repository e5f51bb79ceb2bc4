// `npm run bench:cache`: cached answers against what answers that are ready could reach. From memory: raw
// uWebSockets.js with JSON.parse and an answer of the same size. From Redis: redis-benchmark with values of the same size.
import { execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { Redis } from 'ioredis';
import { freePort } from '../test/support/free-port.ts';
import { LoadClient, type LoadMeasure, type LoadTarget } from './load.ts';
import { packageFolder } from './models.ts';
import { median } from './report.ts';
import { ChildServer, killServersAtExit } from './server.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '3' } } });
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const shape = { connections: 32, textsPerRequest: 1 };
const serverFile = fileURLToPath(new URL('../src/main.js', import.meta.url));
const rawFile = fileURLToPath(new URL('./raw.js', import.meta.url));
const logFile = (name: string) => path.join(packageFolder, `bench/results/server-${name}.log`);

killServersAtExit();
const client = new LoadClient();
try {
  await benchMemory();
  await benchRedis();
} finally {
  await client.close();
}

async function benchMemory(): Promise<void> {
  const server = await startServer('cache-memory', {});
  const warm = await client.measureRepeating(server, shape, seconds);
  const raw = await start(rawFile, 'cache-raw', { RAW_ANSWER_BYTES: String(warm.answerBytes) }, 'none');
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const ready = await client.measureRepeating(raw, shape, seconds);
    const cached = await client.measureRepeating(server, shape, seconds);
    ratios.push(cached.requestsPerSecond / ready.requestsPerSecond);
    console.log(`memory: ${row(cached)} | raw: ${row(ready)} | ratio ${ratios.at(-1)!.toFixed(2)}, by server CPU ${byCpu(cached, ready)}`);
  }
  console.log(`memory / raw uWebSockets.js, answers of ${warm.answerBytes} bytes: ${median(ratios).toFixed(2)}\n`);
  await Promise.all([raw.server.stop(), server.server.stop()]);
}

async function benchRedis(): Promise<void> {
  const port = await freePort();
  const redis = spawn('redis-server', ['--port', String(port), '--save', '', '--appendonly', 'no'], { stdio: 'ignore' });
  process.once('exit', () => redis.kill('SIGKILL'));
  const commands = new Redis({ port, retryStrategy: () => 50, maxRetriesPerRequest: null });
  commands.on('error', () => undefined);
  await commands.ping();
  const server = await startServer('cache-redis', { REDIS_URL: `redis://127.0.0.1:${port}`, EMBEDDING_CACHE_SIZE: '0' });
  await client.measureRepeating(server, shape, seconds);
  const [key] = await commands.keys('ortserve:embedding:*');
  const valueBytes = key === undefined ? 0 : await commands.strlen(key);
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const gets = await redisBenchmark(port, valueBytes);
    const cached = await client.measureRepeating(server, shape, seconds);
    ratios.push(cached.requestsPerSecond / gets);
    console.log(`Redis: ${row(cached)} | redis-benchmark GET: ${Math.round(gets)}/s | ratio ${ratios.at(-1)!.toFixed(2)}`);
  }
  console.log(`from Redis / redis-benchmark, values of ${valueBytes} bytes: ${median(ratios).toFixed(2)}`);
  commands.disconnect();
  await server.server.stop();
  redis.kill('SIGKILL');
}

async function startServer(name: string, environment: Readonly<Record<string, string>>): Promise<LoadTarget> {
  const target = await start(serverFile, name, { ENABLE_EMBEDDING_CACHE: 'true', ...environment }, 'all-MiniLM-L6-v2');
  const input = 'until the model answers';
  await target.server.until200('POST', target.path, JSON.stringify({ model: target.model, input }));
  return target;
}

async function start(file: string, name: string, environment: Readonly<Record<string, string>>, model: string): Promise<LoadTarget> {
  const server = await ChildServer.start(file, environment, logFile(name));
  await server.until200('GET', '/readyz');
  return { server, path: '/v1/embeddings', model };
}

/** GETs a second, with as many connections as the load has. */
async function redisBenchmark(port: number, valueBytes: number): Promise<number> {
  const flags = ['-p', String(port), '-t', 'set,get', '-d', String(valueBytes), '-c', String(shape.connections), '-n', '100000', '--csv'];
  const { stdout } = await promisify(execFile)('redis-benchmark', flags);
  return Number(/^"GET","([\d.]+)"/m.exec(stdout)?.[1]);
}

function row({ requestsPerSecond, latencyMicros, serverCores, clientCores }: LoadMeasure): string {
  const p99 = (latencyMicros.percentile(99) / 1000).toFixed(2);
  return `${Math.round(requestsPerSecond)}/s, p99 ${p99} ms, server ${serverCores.toFixed(2)} client ${clientCores.toFixed(2)} cores`;
}

function byCpu(a: LoadMeasure, b: LoadMeasure): string {
  return (a.requestsPerSecond / a.serverCores / (b.requestsPerSecond / b.serverCores)).toFixed(2);
}
