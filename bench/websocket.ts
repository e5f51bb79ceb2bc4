// `node dist/bench/websocket.js [http|reader]`: what the WebSocket costs beside HTTP, and what a reader that never reads costs the
// others. Two minutes; a busy machine shows in the spread of the rounds. See bench/README.md.
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { Client, type Stream } from '../src/client/client.ts';
import type { SocketConstructor } from '../src/client/stream.ts';
import { cpuMark, cpuSince, residentBytes } from './cpu.ts';
import { textsFrom, type Profile } from './corpus.ts';
import { packageFolder } from './models.ts';
import { ChildServer, killServersAtExit } from './server.ts';

const model = 'sentence-transformers/all-MiniLM-L6-v2';
const textCount = 1000;
const rounds = 5;
const profile: Profile = 'short';
const others = 99;
/** Of each other connection between two requests: together well below what the machine computes. */
const pauseMs = 1500;
const watchMs = 8000;
const watchRounds = 3;
let nextText = 0;

killServersAtExit();
const logFile = path.join(packageFolder, 'bench/results/server-websocket.log');
const mainFile = path.join(packageFolder, 'dist/src/main.js');
const only = process.argv[2];
if (only !== 'reader') await compareWithHttp();
if (only !== 'http') await watchNeverReading();

function newClient(server: ChildServer): Client {
  return new Client({ url: `http://127.0.0.1:${server.port}`, WebSocket: WebSocket as unknown as SocketConstructor });
}

/** The same texts by both, in turns, none of them known to a cache. */
async function compareWithHttp(): Promise<void> {
  const server = await ChildServer.start(mainFile, {}, logFile);
  try {
    await server.until200('GET', '/readyz');
    const client = newClient(server);
    const stream = await client.stream();
    await client.embed(model, textsFrom('short', 0, 500));
    // The measurement of the run size ends in a quiet moment.
    await sleep(3000);
    const ratios: number[] = [];
    const cpuRatios: number[] = [];
    const firsts: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const texts = textsFrom(profile, round * textCount, textCount);
      const measure = { http: () => overHttp(client, texts), socket: () => overSocket(stream, texts) };
      // Whoever comes second has warmer caches of the processor.
      const order = round % 2 === 0 ? (['http', 'socket'] as const) : (['socket', 'http'] as const);
      const found = { http: 0, socket: 0 };
      const cpu = { http: 0, socket: 0 };
      for (const which of order) {
        const mark = cpuMark([server.pid]);
        const { totalMs, firstMs } = await measure[which]();
        found[which] = totalMs;
        // Who else uses the machine changes the time but not this.
        cpu[which] = cpuSince(mark).cores.get(server.pid)! * totalMs;
        if (which === 'socket') firsts.push(firstMs / totalMs);
      }
      ratios.push(found.socket / found.http);
      cpuRatios.push(cpu.socket / cpu.http);
      console.log(
        `${textCount} texts: HTTP ${found.http.toFixed(0)} ms (${cpu.http.toFixed(0)} of CPU), WebSocket ${found.socket.toFixed(0)} ms `
        + `(${cpu.socket.toFixed(0)}), first vector after ${percent(firsts.at(-1)!)}`,
      );
    }
    console.log(
      `WebSocket / HTTP: median ${middle(ratios).toFixed(3)}, by CPU ${middle(cpuRatios).toFixed(3)}; `
      + `first vector after ${percent(middle(firsts))} (worst ${percent(Math.max(...firsts))})`,
    );
    stream.close();
  } finally {
    await server.stop();
  }
}

type Taken = { readonly totalMs: number; readonly firstMs: number };

async function overHttp(client: Client, texts: readonly string[]): Promise<Taken> {
  const startMs = performance.now();
  await client.embed(model, texts);
  const totalMs = performance.now() - startMs;
  return { totalMs, firstMs: totalMs };
}

async function overSocket(stream: Stream, texts: readonly string[]): Promise<Taken> {
  const startMs = performance.now();
  let firstMs: number | undefined;
  for await (const _embedding of stream.embed(model, texts)) firstMs ??= performance.now() - startMs;
  return { totalMs: performance.now() - startMs, firstMs: firstMs! };
}

/** The others ask for one text now and then, alone and beside one that asks for as much as it may and never reads. */
async function watchNeverReading(): Promise<void> {
  // Its answers are ready at once, so that it costs the others no computation and what is seen is the transport.
  const server = await ChildServer.start(mainFile, { ENABLE_EMBEDDING_CACHE: 'true' }, logFile);
  try {
    await server.until200('GET', '/readyz');
    const client = newClient(server);
    const streams = await Promise.all(Array.from({ length: others }, () => client.stream()));
    await watch(streams, 3000);
    await sleep(3000);
    for (let round = 0; round < watchRounds; round++) {
      const alone = await watch(streams, watchMs);
      const before = residentMb(server.pid);
      const neverReading = await openNeverReading(server.port);
      // Its requests are read and begun; from here on it only does not read.
      await sleep(2000);
      const beside = await watch(streams, watchMs);
      console.log(
        `p50/p99 of ${others} connections: alone ${alone.p50.toFixed(1)}/${alone.p99.toFixed(1)} ms, beside one that never reads `
        + `${beside.p50.toFixed(1)}/${beside.p99.toFixed(1)} ms (${percent(beside.p99 / alone.p99 - 1)}); memory ${before} -> ${residentMb(server.pid)} MB`,
      );
      neverReading.terminate();
      await sleep(500);
    }
    for (const stream of streams) stream.close();
  } finally {
    await server.stop();
  }
}

async function openNeverReading(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream`);
  await new Promise((resolve) => socket.once('open', resolve));
  socket.pause();
  const input = new Array<string>(2048).fill('the same text');
  for (let id = 0; id < 64; id++) socket.send(JSON.stringify({ id: String(id), op: 'embed', body: { model, input } }));
  return socket;
}

/** Latencies in ms. Each connection starts at a time of its own, so that they do not come in waves. */
async function watch(streams: readonly Stream[], ms: number): Promise<{ p50: number; p99: number }> {
  const latencies: number[] = [];
  const endMs = performance.now() + ms;
  await Promise.all(streams.map(async (stream, i) => {
    await sleep((i / streams.length) * pauseMs);
    while (performance.now() < endMs) {
      const startMs = performance.now();
      const [text] = textsFrom('short', 1_000_000 + nextText++, 1);
      for await (const _message of stream.call('embed', { body: { model, input: text }, binary: true }));
      latencies.push(performance.now() - startMs);
      await sleep(pauseMs);
    }
  }));
  latencies.sort((a, b) => a - b);
  return { p50: latencies[Math.floor(latencies.length / 2)]!, p99: latencies[Math.floor(latencies.length * 0.99)]! };
}

function residentMb(pid: number): number {
  return Math.round((residentBytes(pid) ?? 0) / 1024 / 1024);
}

function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
