// `npm run bench`: how much of this machine's limit the server reaches, in one run that lasts minutes.
// See bench/README.md for what each row means.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { printLimitGrid } from './limit-search.ts';
import { LoadClient } from './load.ts';
import { benchModel, type BenchTools } from './model-bench.ts';
import { findModels, packageFolder } from './models.ts';
import { parseOptions, type BenchOptions } from './options.ts';
import { Patience } from './quiet.ts';
import { formatRest, formatRow, formatRowHead, writeReport } from './report.ts';
import type { RawFacts, Row, ServerFacts } from './report.ts';
import { ChildServer, killServersAtExit } from './server.ts';

const options = parseOptions(process.argv.slice(2));
const startMs = performance.now();
killServersAtExit();
const models = findModels(options.modelFolder).filter((model) => options.models.includes(model.name));
const patience = new Patience(options.patienceSeconds);
try {
  if (models.length === 0) throw new Error(`None of these models is there: ${options.models.join(', ')}.`);
  if (options.limits) await printLimitGrid(models, options, patience);
  else await benchAll(options);
} catch (error) {
  progress('');
  console.error(error instanceof Error ? error.message : String(error));
  // Threads of the client and the limit are still there, idle; servers are killed on the way out.
  process.exit(1);
}

async function benchAll(options: BenchOptions): Promise<void> {
  const client = new LoadClient();
  const tools: BenchTools = { client, patience, progress };
  const rows: Row[] = [];
  const servers: ServerFacts[] = [];
  console.log(formatRowHead());
  const onRows = (found: readonly Row[]) => {
    progress('');
    for (const row of found) console.log(formatRow(row));
    rows.push(...found);
  };
  for (const model of models) servers.push(await benchModel(model, tools, options, onRows));
  progress('raw uWebSockets.js');
  const raw = await benchRaw(client, options.seconds);
  await client.close();
  progress('');
  const report = { rows, servers, raw, minutes: (performance.now() - startMs) / 60_000 };
  console.log(`\n${formatRest(report)}`);
  console.log(`\n${report.minutes.toFixed(1)} minutes; ${path.relative(process.cwd(), writeReport(report))}`);
}

async function benchRaw(client: LoadClient, seconds: number): Promise<RawFacts> {
  const file = fileURLToPath(new URL('./raw.js', import.meta.url));
  const server = await ChildServer.start(file, {}, path.join(packageFolder, 'bench/results/server-raw.log'));
  try {
    await server.until200('GET', '/readyz');
    const shape = { connections: 32, textsPerRequest: 1 };
    const target = { server, path: '/v1/embeddings', model: 'none' };
    const measure = await client.measureRepeating(target, shape, seconds);
    return {
      requestsPerSecond: measure.requestsPerSecond,
      latencyP50Ms: measure.latencyMicros.percentile(50) / 1000,
      latencyP99Ms: measure.latencyMicros.percentile(99) / 1000,
      answerBytes: measure.answerBytes,
      clientCores: measure.clientCores,
      serverCores: measure.serverCores,
    };
  } finally {
    await server.stop();
  }
}

/** One line on the terminal that is written over; nothing when the output goes to a file. */
function progress(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`);
}
