// Thread entry of the graphs: hnswlib's indexes of all large partitions. Adding takes a thousand times as long as a
// message, so rows are added one by one with searches in between.
// Invariant: nothing reaches the addon but whole rows of finite numbers and labels that it knows: it trusts its
// callers with the process. No graph is changed while it is written, and a file is loaded into a new graph only.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { HierarchicalNSW } from 'hnswlib-node';
import { answerThread } from '../../storage/asked-thread.ts';
import { semanticGraphEf, semanticGraphEfConstruction, semanticGraphLinks } from '../../limits.ts';

export type GraphRequest =
  | { readonly kind: 'start' }
  | { readonly kind: 'open'; readonly graph: number; readonly dimension: number; readonly rows: number }
  /** Rows packed one after another; their labels count up from `label`, which is the next one of the graph. */
  | { readonly kind: 'add'; readonly graph: number; readonly label: number; readonly rows: Float32Array }
  | { readonly kind: 'remove'; readonly graph: number; readonly label: number }
  | { readonly kind: 'search'; readonly graph: number; readonly unit: Float32Array; readonly count: number }
  | { readonly kind: 'save'; readonly graph: number; readonly file: string }
  | { readonly kind: 'load'; readonly graph: number; readonly dimension: number; readonly rows: number; readonly sha256: string; readonly file: string }
  | { readonly kind: 'drop'; readonly graph: number }
  | { readonly kind: 'close' };

type Graph = {
  readonly index: HierarchicalNSW;
  readonly dimension: number;
  labels: number;
  readonly removed: Set<number>;
  /** Changes wait for it: writing and changing at once would tear the file. */
  saving: Promise<unknown> | undefined;
};

const graphs = new Map<number, Graph>();
let hnswlib: typeof import('hnswlib-node') | undefined;
/** Additions stand in line: two loops of them would make searches wait twice as long. */
let adding: Promise<unknown> = Promise.resolve();

answerThread<GraphRequest>(async (request) => {
  if (request.kind === 'start') {
    // An optional dependency with a native part: where it was not built this fails, and rows are scanned instead.
    hnswlib = ((await import('hnswlib-node')) as unknown as { default: typeof import('hnswlib-node') }).default;
    return undefined;
  }
  if (request.kind === 'open') return void graphs.set(request.graph, newGraph(request.dimension, request.rows));
  if (request.kind === 'load') return load(request);
  if (request.kind === 'drop') return drop(request.graph);
  if (request.kind === 'close') return close();
  const graph = graphs.get(request.graph);
  if (graph === undefined) throw new Error('There is no such graph.');
  if (request.kind === 'search') return search(graph, request.unit, request.count);
  if (request.kind === 'remove') return remove(graph, request.label);
  if (request.kind === 'save') return save(graph, request.file);
  adding = adding.catch(() => undefined).then(() => add(graph, request.label, request.rows));
  return adding;
});

function newGraph(dimension: number, rows: number): Graph {
  const index = new hnswlib!.HierarchicalNSW('ip', dimension);
  index.initIndex(rows, semanticGraphLinks, semanticGraphEfConstruction);
  index.setEf(semanticGraphEf);
  return { index, dimension, labels: 0, removed: new Set(), saving: undefined };
}

async function add(graph: Graph, label: number, rows: Float32Array): Promise<void> {
  const { index, dimension } = graph;
  if (label !== graph.labels || rows.length % dimension !== 0) throw new Error('Rows out of order.');
  for (let at = 0; at < rows.length; at += dimension) {
    await turn();
    await graph.saving;
    // Dropped meanwhile: its memory is not there any more.
    if (graph.labels < 0) return;
    const row = Array.from(rows.subarray(at, at + dimension));
    if (!row.every(Number.isFinite)) throw new Error('A row is not finite.');
    if (index.getCurrentCount() >= index.getMaxElements()) index.resizeIndex(Math.ceil(index.getMaxElements() * 1.5));
    index.addPoint(row, graph.labels);
    if (graph.removed.has(graph.labels)) index.markDelete(graph.labels);
    graph.labels += 1;
  }
}

function search({ index, dimension, labels }: Graph, unit: Float32Array, count: number): number[] {
  const query = Array.from(unit);
  if (query.length !== dimension || !query.every(Number.isFinite)) throw new Error('Not a row of that graph.');
  return index.searchKnn(query, Math.min(count, Math.max(labels, 1))).neighbors;
}

async function remove(graph: Graph, label: number): Promise<void> {
  await graph.saving;
  if (graph.labels < 0 || graph.removed.has(label)) return;
  graph.removed.add(label);
  // One that still stands in line is removed when it is added.
  if (label < graph.labels) graph.index.markDelete(label);
}

/** The hash of what was written. Searches go on, changes wait. */
async function save(graph: Graph, file: string): Promise<{ sha256: string; rows: number }> {
  while (graph.saving !== undefined) await graph.saving;
  const rows = graph.labels;
  graph.saving = graph.index.writeIndex(file).finally(() => (graph.saving = undefined));
  await graph.saving;
  return { sha256: await hashOf(file), rows };
}

/** Throws unless the file is byte for byte the one that was saved. */
async function load({ graph, dimension, rows, sha256, file }: Extract<GraphRequest, { kind: 'load' }>): Promise<void> {
  if ((await hashOf(file)) !== sha256) throw new Error('The file of the graph is damaged.');
  const index = new hnswlib!.HierarchicalNSW('ip', dimension);
  await index.readIndex(file);
  if (index.getCurrentCount() !== rows || index.getNumDimensions() !== dimension) throw new Error('The file is of another graph.');
  index.setEf(semanticGraphEf);
  graphs.set(graph, { index, dimension, labels: rows, removed: new Set(), saving: undefined });
}

async function drop(number: number): Promise<void> {
  const graph = graphs.get(number);
  graphs.delete(number);
  if (graph === undefined) return;
  await graph.saving;
  graph.labels = -1;
}

async function close(): Promise<void> {
  for (const number of [...graphs.keys()]) await drop(number);
  await adding.catch(() => undefined);
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
