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
  /** As `ratio`, to bare workers that know no more texts at a time than the load has in flight. */
  readonly inHandRatio: number;
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

/** The head of the table whose lines `formatRow` makes. */
export function formatRowHead(): string {
  return columns.map(([head, width]) => pad(head, width)).join('  ');
}

/** One line, complete in itself, so that a run shows its rows as they come. */
export function formatRow(row: Row): string {
  return columns.map(([, width, cell]) => pad(cell(row), width)).join('  ');
}

/** What stands below the rows: the servers, the bare uWebSockets.js, and batches where the server uses none. */
export function formatRest(report: Report): string {
  const { raw } = report;
  const parts = [
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
  const batched = report.rows
    .filter((row) => row.batchedTextsPerSecond !== undefined)
    .map((row) => `${row.model} ${row.profile} in batches: ${row.batchedTextsPerSecond!.toFixed(1)} texts/s`);
  if (batched.length > 0) parts.push([...new Set(batched)].join('\n'));
  return parts.join('\n\n');
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

/** Head, width (words to the left when negative) and content. */
const columns: readonly (readonly [string, number, (row: Row) => string])[] = [
  ['model', -7, (row) => row.model],
  ['texts', -5, (row) => row.profile],
  ['load', -4, (row) => `${row.load.connections}x${row.load.textsPerRequest}`],
  ['limit/s', 7, (row) => row.limitTextsPerSecond.toFixed(1)],
  ['by', -15, (row) => `${row.limitThreads}, ${runName(row.limitRunTokens)}`],
  ['server/s', 8, (row) => row.serverTextsPerSecond.toFixed(1)],
  ['ratio', 5, (row) => row.ratio.toFixed(3)],
  ['in hand', 7, (row) => row.inHandRatio.toFixed(3)],
  ['by CPU', 6, (row) => (Number.isFinite(row.cpuRatio) ? row.cpuRatio.toFixed(3) : '?')],
  ['p50 ms', 7, (row) => row.latencyP50Ms.toFixed(1)],
  ['p99 ms', 7, (row) => row.latencyP99Ms.toFixed(1)],
  ['client', 6, (row) => row.clientCores.toFixed(2)],
  ['server', 6, (row) => row.serverCores.toFixed(2)],
  ['other', 5, (row) => row.foreignCoresMax.toFixed(2)],
];

function runName(runTokens: number): string {
  return runTokens === 0 ? 'one text' : `${runTokens} tokens`;
}

function pad(text: string, width: number): string {
  return width < 0 ? text.padEnd(-width) : text.padStart(width);
}

/** Columns as wide as their widest cell; words to the left, numbers to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, c) => Math.max(cell.length, ...rows.map((row) => row[c]!.length)));
  const numeric = head.map((_, c) => rows.every((row) => /^[\d.]+$/.test(row[c]!)));
  const line = (cells: readonly string[]) =>
    cells.map((cell, c) => (numeric[c] ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!))).join('  ').trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}
