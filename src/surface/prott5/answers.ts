// The answer of /embeddings/compute, written by hand: an object would put sequences made of digits first and lose one
// named `__proto__`, and vectors need not become JavaScript strings.
import type { EmbedResult } from '../../engine/embed.ts';
import type { Call, Reply } from '../../operation.ts';
import { jsonContentType } from '../json-reply.ts';
import { base64Vector, bytesReply, JsonBytes, type VectorFormat } from '../vectors.ts';
import type { Sequences } from './sequences.ts';

export type Computed = {
  /** Rows of the distinct residues. */
  readonly result: EmbedResult;
  /** From the question to the vectors, looking up included. */
  readonly engineMs: number;
  /** Stored bytes by bytes of float32. */
  readonly compressionRatio: number;
};

export function encodeComputed(computed: Computed, sequences: Sequences, format: VectorFormat, call: Call): Reply {
  if (format.encoding === 'bytes') return encodeBytes(computed, sequences, format);
  const tail = `},${JSON.stringify(facts(computed, call)).slice(1)}`;
  const body = format.encoding === 'base64'
    ? base64Body(computed.result, sequences, format, tail)
    : floatBody(computed.result, sequences, tail);
  return { status: 200, contentType: jsonContentType, headers: headers(computed), body };
}

const start = '{"embeddings":{';

function floatBody({ rows, dimension }: EmbedResult, { written, places }: Sequences, tail: string): Uint8Array {
  const keys = written.map((key, i) => `${i > 0 ? ',' : ''}${JSON.stringify(key)}:`);
  const textBytes = keys.reduce((sum, key) => sum + Buffer.byteLength(key) + 2, start.length + Buffer.byteLength(tail));
  const json = new JsonBytes(written.length * dimension, textBytes);
  json.text(start);
  keys.forEach((key, i) => {
    json.text(key);
    json.floats(rows[places[i]!]!);
  });
  json.text(tail);
  return json.finish();
}

function base64Body({ rows }: EmbedResult, { written, places }: Sequences, { type }: VectorFormat, tail: string): string {
  const entries = written.map((key, i) => `${JSON.stringify(key)}:"${base64Vector(rows[places[i]!]!, type)}"`);
  return start + entries.join(',') + tail;
}

/** Rows have no names, so there is one for each item of the request, equal ones too. */
function encodeBytes(computed: Computed, { items, places }: Sequences, { type }: VectorFormat): Reply {
  const { result } = computed;
  const rowOf = <Value>(values: ArrayLike<Value>) => items.map((item) => values[places[item]!]!);
  const reply = bytesReply({
    ...result,
    rows: rowOf(result.rows),
    tokensGiven: Int32Array.from(rowOf(result.tokensGiven)),
    tokensKept: Int32Array.from(rowOf(result.tokensKept)),
  }, type);
  return { ...reply, headers: { ...reply.headers, ...headers(computed) } };
}

function headers({ result }: Computed): Record<string, string> {
  return { 'x-cache-hits': String(result.cache.hits), 'x-cache-misses': String(result.cache.misses) };
}

function facts({ result, engineMs, compressionRatio }: Computed, call: Call): object {
  const { hits, misses, lookupMs } = result.cache;
  return {
    cache_stats: { hit_rate: round(hits / (hits + misses), 4), compression_ratio: round(compressionRatio, 4) },
    timing: {
      total_ms: round(performance.now() - call.startedMs, 2),
      cache_ms: round(misses > 0 ? lookupMs : engineMs, 2),
      triton_ms: round(misses > 0 ? engineMs - lookupMs : 0, 2),
      cache_hits: hits,
      triton_calls: result.batches,
    },
    model_info: { model: result.model, embedding_dim: String(result.dimension), precision: 'fp32' },
  };
}

export function round(value: number, decimals: number): number {
  return Math.round(value * 10 ** decimals) / 10 ** decimals;
}
