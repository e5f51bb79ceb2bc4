// One bare worker of the limit: tokenise, pad, session.run, mean pool, normalise; nothing between it and the model.
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { Tokenizer } from '@huggingface/tokenizers';
import { InferenceSession, Tensor } from 'onnxruntime-node';

export type LimitWorkerSettings = {
  readonly onnxFile: string;
  readonly tokenizerFile: string;
  readonly tokenizerConfigFile: string;
  readonly tokensMax: number;
  readonly intraOpThreads: number;
};

export type LimitOrder =
  | { readonly kind: 'count'; readonly texts: readonly string[] }
  | {
      readonly kind: 'measure';
      readonly runs: readonly (readonly string[])[];
      /** One Int32 all workers take their next run from. */
      readonly cursor: SharedArrayBuffer;
      readonly warmupMs: number;
      readonly measureMs: number;
    }
  | { readonly kind: 'close' };

export type LimitAnswer =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'counted'; readonly tokens: readonly number[] }
  | { readonly kind: 'measured'; readonly tokens: number; readonly elapsedMs: number };

const settings = workerData as LimitWorkerSettings;
const tokenizer = new Tokenizer(readJson(settings.tokenizerFile), readJson(settings.tokenizerConfigFile));
const session = await InferenceSession.create(settings.onnxFile, {
  intraOpNumThreads: settings.intraOpThreads,
  graphOptimizationLevel: 'all',
  enableCpuMemArena: true,
  logSeverityLevel: 3,
  extra: { session: { intra_op: { allow_spinning: '0' }, disable_quant_qdq: '1' } },
});
const port = parentPort!;
port.on('message', (order: LimitOrder) => void obey(order));
answer({ kind: 'loaded' });

async function obey(order: LimitOrder): Promise<void> {
  if (order.kind === 'count') {
    return answer({ kind: 'counted', tokens: order.texts.map((text) => tokenize(text).length) });
  }
  if (order.kind === 'measure') return answer(await measure(order));
  await session.release();
  port.close();
}

async function measure(order: LimitOrder & { kind: 'measure' }): Promise<LimitAnswer> {
  const cursor = new Int32Array(order.cursor);
  const next = () => order.runs[Atomics.add(cursor, 0, 1) % order.runs.length]!;
  const warmUntil = performance.now() + order.warmupMs;
  while (performance.now() < warmUntil) await embed(next());
  const start = performance.now();
  let tokens = 0;
  let elapsedMs = 0;
  while (elapsedMs < order.measureMs) {
    tokens += await embed(next());
    elapsedMs = performance.now() - start;
  }
  return { kind: 'measured', tokens, elapsedMs };
}

/** Makes the unit vectors of one run, row after row; returns how many tokens went in, padding left out. */
async function embed(texts: readonly string[]): Promise<number> {
  const rows = texts.map(tokenize);
  const width = Math.max(...rows.map((row) => row.length));
  const shape = [rows.length, width];
  const ids = new BigInt64Array(rows.length * width);
  const mask = new BigInt64Array(rows.length * width);
  // Token ids fit the low word of each int64, and filling words is several times faster than making BigInts.
  const idWords = new Int32Array(ids.buffer);
  const maskWords = new Int32Array(mask.buffer);
  for (let r = 0; r < rows.length; r++) {
    const row = rows[r]!;
    for (let t = 0; t < row.length; t++) {
      idWords[2 * (r * width + t)] = row[t]!;
      maskWords[2 * (r * width + t)] = 1;
    }
  }
  const feeds: Record<string, Tensor> = {};
  for (const name of session.inputNames) {
    const values = name === 'input_ids' ? ids : name === 'attention_mask' ? mask : new BigInt64Array(ids.length);
    feeds[name] = new Tensor('int64', values, shape);
  }
  const results = await session.run(feeds);
  const hidden = results[session.outputNames[0]!]!;
  const lengths = rows.map((row) => row.length);
  pool(hidden.data as Float32Array, lengths, width, hidden.dims[2]!);
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** Mean over each row's own tokens, scaled to unit length. */
function pool(hidden: Float32Array, lengths: readonly number[], width: number, dimension: number): Float32Array {
  const vectors = new Float32Array(lengths.length * dimension);
  for (let r = 0; r < lengths.length; r++) {
    const vector = vectors.subarray(r * dimension, (r + 1) * dimension);
    for (let t = 0; t < lengths[r]!; t++) {
      const from = (r * width + t) * dimension;
      for (let d = 0; d < dimension; d++) vector[d]! += hidden[from + d]!;
    }
    let squares = 0;
    for (let d = 0; d < dimension; d++) squares += vector[d]! * vector[d]!;
    // Scaling the sum and scaling the mean give the same unit vector.
    const scale = 1 / Math.max(Math.sqrt(squares), 1e-12);
    for (let d = 0; d < dimension; d++) vector[d]! *= scale;
  }
  return vectors;
}

/** Token ids, cut to the model's length with the closing special token kept. */
function tokenize(text: string): number[] {
  const { ids } = tokenizer.encode(text);
  if (ids.length <= settings.tokensMax) return ids;
  return [...ids.slice(0, settings.tokensMax - 1), ids[ids.length - 1]!];
}

function answer(message: LimitAnswer): void {
  port.postMessage(message);
}

function readJson(file: string): object {
  return JSON.parse(readFileSync(file, 'utf8')) as object;
}
