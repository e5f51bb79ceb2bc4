// Memory over rounds of loading and unloading: a leak shows as a trend. Prints the server's resident memory ten times.
// node dist/bench/rounds.js [rounds] [model folder]
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const rounds = Number(process.argv[2] ?? 200);
const folder = process.argv[3];
// How glibc keeps what was freed: MALLOC_ARENA_MAX, MALLOC_MMAP_THRESHOLD_.
const allocator = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('MALLOC_')));
const directory = mkdtempSync(join(tmpdir(), 'ortserve-bench-'));
const server = spawn(process.execPath, [join(import.meta.dirname, '../src/main.js')], {
  cwd: directory,
  env: {
    PATH: process.env['PATH'], ...allocator, PORT: '0', DATA_DIR: directory, MODEL_NAME: 'org/model',
    ENABLE_EMBEDDING_CACHE: 'false', ...(folder && { MODEL_PATH: folder }),
  },
  stdio: ['ignore', 'pipe', 'inherit'],
});

try {
  const port = await listening();
  const post = async (path: string, body?: object): Promise<void> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', ...(body && { body: JSON.stringify(body) }) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  };
  const startedMs = performance.now();
  for (let round = 1; round <= rounds; round++) {
    await post('/embed/batch', { model_name: 'org/model', texts: ['a short text', 'and one that is a little longer than that'] });
    await post('/models/1.0/inference', { image: [[[0.5, 0.5, 0.5]]], compression_level: 0.5 });
    await Promise.all([post('/models/org/model/unload'), post('/models/1.0/unload')]);
    if (round % Math.ceil(rounds / 10) === 0) console.log(`round ${round}: ${residentMegabytes()} MB resident, ${await heapMegabytes(port)} MB of JavaScript heap in use`);
  }
  console.log(`${((performance.now() - startedMs) / rounds).toFixed(0)} ms a round`);
} finally {
  server.kill('SIGTERM');
  await new Promise((resolve) => server.once('exit', resolve));
  rmSync(directory, { recursive: true, force: true });
}

function listening(): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    createInterface({ input: server.stdout! }).on('line', (line) => {
      const { msg, port } = JSON.parse(line) as { msg: string; port?: number };
      if (msg === 'listening') resolve(port!);
    });
  });
}

async function heapMegabytes(port: number): Promise<string> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return (Number(/^ortserve_nodejs_heap_size_used_bytes (\S+)$/m.exec(text)![1]) / 1024 ** 2).toFixed(0);
}

function residentMegabytes(): string {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return (Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024).toFixed(0);
}
