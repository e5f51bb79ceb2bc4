// `npm run bench:answers`: what a hit of the semantic cache costs beyond the embedding of its question. The same text
// alone through /v1/embeddings, a near question through /query and through a chat, and an exact repeat, in turns and
// in an order that turns, one request at a time on one connection.
import { Agent, request } from 'node:http';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { packageFolder } from './models.ts';
import { ChildServer, killServersAtExit } from './server.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } });
const serverFile = fileURLToPath(new URL('../src/main.js', import.meta.url));
const logFile = path.join(packageFolder, 'bench/results/server-answers.log');
const model = 'bench';

const subjects = [
  'Firefox', 'PostgreSQL', 'a printer', 'Redis', 'the Rust compiler', 'a second monitor', 'Python', 'Docker', 'a wireless mouse',
  'the calendar', 'Thunderbird', 'a scanner', 'Nginx', 'the camera', 'Blender', 'a VPN', 'LibreOffice', 'GIMP', 'a web server', 'Node.js',
];
const places = ['on Linux', 'on Windows', 'on my work laptop', 'at home', 'without an internet connection'];
const kept = subjects.flatMap((subject) => places.map((place) => `How do I install ${subject} ${place}?`));
/** Near enough to be hit, and never put: each costs an embedding and a search. */
const asked = kept.map((question) => question.replace('How do I', 'How can I'));

type Kind = 'embedding alone' | '/query, near' | 'chat, near' | '/query, exact';
const kinds: readonly Kind[] = ['embedding alone', '/query, near', 'chat, near', '/query, exact'];

killServersAtExit();
const environment = { UPSTREAM_MODEL: model, MAX_CACHE_SIZE: '1000', LOG_LEVEL: 'warn', DATA_DIR: path.join(packageFolder, 'bench/results/answers-data') };
const server = await ChildServer.start(serverFile, environment, logFile);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
try {
  await server.until200('GET', '/readyz');
  await post('/cache/entries?all=true', undefined, 'DELETE');
  for (const query of kept) await post('/cache/entries', { query, response: `This is how: ${query}` });
  const times = new Map<Kind, RecordableHistogram>(kinds.map((kind) => [kind, createHistogram()]));
  let refused = 0;
  for (let round = 0; round < Number(values.rounds); round++) {
    for (let i = 0; i < asked.length; i++) {
      for (let turn = 0; turn < kinds.length; turn++) {
        const kind = kinds[(turn + i + round) % kinds.length]!;
        const startedMs = performance.now();
        const isHit = await ask(kind, i);
        const micros = Math.round((performance.now() - startedMs) * 1000);
        if (isHit) times.get(kind)!.record(Math.max(1, micros));
        else refused += 1;
      }
    }
  }
  const p50Ms = (kind: Kind) => times.get(kind)!.percentile(50) / 1000;
  for (const kind of kinds) {
    const { count } = times.get(kind)!;
    const p99Ms = times.get(kind)!.percentile(99) / 1000;
    const ratio = (p50Ms(kind) / p50Ms('embedding alone')).toFixed(3);
    console.log(`${kind.padEnd(16)} p50 ${p50Ms(kind).toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  / embedding alone ${ratio}  (${count} times)`);
  }
  console.log(`near questions that were no hit: ${refused}`);
} finally {
  agent.destroy();
  await server.stop();
}

/** Whether it was answered as its kind should be. */
async function ask(kind: Kind, i: number): Promise<boolean> {
  switch (kind) {
    case 'embedding alone': {
      await post('/v1/embeddings', { model: 'all-MiniLM-L6-v2', input: asked[i], encoding_format: 'base64' });
      return true;
    }
    case '/query, near':
      return (await post('/query', { query: asked[i] })).json['cache_hit'] === true;
    case 'chat, near':
      return (await post('/v1/chat/completions', { model, messages: [{ role: 'user', content: asked[i] }] }, 'POST', [200, 501])).status === 200;
    case '/query, exact':
      return (await post('/query', { query: kept[i] })).json['cache_hit'] === true;
  }
}

type Answer = { readonly status: number; readonly json: Record<string, unknown> };

/** Throws for a status that is not expected: a bench of errors would look fast. */
function post(urlPath: string, body: unknown, method = 'POST', expected = [200, 201]): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': bytes.length };
    const outgoing = request({ host: '127.0.0.1', port: server.port, method, path: urlPath, headers, agent }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const status = incoming.statusCode ?? 0;
        if (expected.includes(status)) resolve({ status, json: JSON.parse(text) as Record<string, unknown> });
        else reject(new Error(`${method} ${urlPath} gave ${status}: ${text.slice(0, 300)}`));
      });
    });
    outgoing.on('error', reject);
    outgoing.end(bytes);
  });
}
