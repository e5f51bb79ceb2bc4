// What a bench run found, as a table for people and as JSON for comparing runs.
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import path from 'node:path';
import type { Profile } from './corpus.ts';
import type { LoadShape } from './load.ts';
import { packageFolder, type ModelName } from './models.ts';

/** One model, one profile, one load. Rates are medians over the rounds. */
export type Row = {
  readonly model: ModelName;
  readonly profile: Profile;
  readonly load: LoadShape;
  readonly limitTextsPerSecond: number;
  /** Thread setting and run size the limit was highest with. */
  readonly limitThreads: string;
  readonly limitRunTokens: number;
  /** Only where the server runs one text at a time: what batches would reach, at the price of exactness. */
  readonly batchedTextsPerSecond: number | undefined;
  readonly serverTextsPerSecond: number;
  /** Median of the rounds' own ratios server / limit, each of two measurements seconds apart. */
  readonly ratio: number;
  readonly ratios: readonly number[];
  /** As `ratio`, of texts a second of CPU time: others on the machine hardly matter. Not finite without /proc. */
  readonly cpuRatio: number;
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
  readonly clientCores: number;
  readonly serverCores: number;
  /** The worst round's CPU use by anything else on the machine. */
  readonly foreignCoresMax: number;
};

export type ServerFacts = {
  readonly model: ModelName;
  /** Process start to the first vectors, median of a few starts. */
  readonly firstAnswerMs: number;
  /** Resident memory after all load, bytes. */
  readonly residentBytes: number | undefined;
};

export type RawFacts = {
  readonly requestsPerSecond: number;
  readonly latencyP50Ms: number;
  readonly latencyP99Ms: number;
  readonly answerBytes: number;
  readonly clientCores: number;
  readonly serverCores: number;
};

export type Report = {
  readonly rows: readonly Row[];
  readonly servers: readonly ServerFacts[];
  readonly raw: RawFacts;
  readonly minutes: number;
};

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The table of a whole run. */
export function formatReport(report: Report): string {
  const { raw } = report;
  const parts = [
    table(
      rowHead,
      report.rows.map(rowCells),
    ),
    table(
      ['model', 'first answer ms', 'RSS MB'],
      report.servers.map((facts) => [
        facts.model,
        facts.firstAnswerMs.toFixed(0),
        facts.residentBytes === undefined ? '?' : (facts.residentBytes / 2 ** 20).toFixed(0),
      ]),
    ),
    table(
      ['raw uWebSockets.js', 'req/s', 'req/s a core', 'p50 ms', 'p99 ms', 'client', 'server'],
      [
        [
          `JSON in, ${raw.answerBytes} bytes out`,
          raw.requestsPerSecond.toFixed(0),
          (raw.requestsPerSecond / raw.serverCores).toFixed(0),
          raw.latencyP50Ms.toFixed(2),
          raw.latencyP99Ms.toFixed(2),
          raw.clientCores.toFixed(2),
          raw.serverCores.toFixed(2),
        ],
      ],
    ),
  ];
  const batched = report.rows.filter((row) => row.batchedTextsPerSecond !== undefined);
  const seen = new Set<string>();
  for (const row of batched) {
    const rate = row.batchedTextsPerSecond!.toFixed(1);
    const line = `${row.model} ${row.profile} in batches, for information: ${rate} texts/s`;
    if (!seen.has(line)) parts.push(line);
    seen.add(line);
  }
  return parts.join('\n\n').replaceAll('texts/s\n\n', 'texts/s\n');
}

/** Writes `bench/results/<time>.json`; returns its path. */
export function writeReport(report: Report): string {
  const folder = path.join(packageFolder, 'bench/results');
  mkdirSync(folder, { recursive: true });
  const time = new Date().toISOString().replace(/[:.]/g, '-');
  const file = path.join(folder, `${time}.json`);
  const machine = {
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
  writeFileSync(file, `${JSON.stringify({ time, machine, ...report }, null, 2)}\n`);
  return file;
}

const rowHead =
  'model,texts,load,limit/s,by,server/s,ratio,by CPU,p50 ms,p99 ms,client,server,other'.split(',');

function rowCells(row: Row): string[] {
  const runs = row.limitRunTokens === 0 ? 'one text' : `${row.limitRunTokens} tokens`;
  return [
    row.model,
    row.profile,
    `${row.load.connections}x${row.load.textsPerRequest}`,
    row.limitTextsPerSecond.toFixed(1),
    `${row.limitThreads}, ${runs}`,
    row.serverTextsPerSecond.toFixed(1),
    row.ratio.toFixed(3),
    Number.isFinite(row.cpuRatio) ? row.cpuRatio.toFixed(3) : '?',
    row.latencyP50Ms.toFixed(1),
    row.latencyP99Ms.toFixed(1),
    row.clientCores.toFixed(2),
    row.serverCores.toFixed(2),
    row.foreignCoresMax.toFixed(2),
  ];
}

/** Columns as wide as their widest cell; words to the left, numbers to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, c) => Math.max(cell.length, ...rows.map((row) => row[c]!.length)));
  const numeric = head.map((_, c) => rows.every((row) => /^[\d.]+$/.test(row[c]!)));
  const line = (cells: readonly string[]) =>
    cells.map((cell, c) => (numeric[c] ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!))).join('  ').trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}
