// What tests ask of the protein service, and what it must answer.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { float16Value } from '../../src/tensor/float16.ts';
import type { ServerProcess } from './server-process.ts';
import { randomNumbers } from './tensor-models.ts';
import { expectedRows } from './triton-server.ts';

const dimension = 1024;

export type Answer = {
  embeddings: Record<string, number[]>;
  cache_stats: { hit_rate: number; compression_ratio: number };
  timing: { total_ms: number; cache_ms: number; triton_ms: number; cache_hits: number; triton_calls: number };
  model_info: object;
};

export function randomSequences(count: number, seed: number): string[] {
  const random = randomNumbers(seed);
  const residue = () => 'ACDEFGHIKLMNPQRSTVWY'[Math.floor(random() * 20)]!;
  return Array.from({ length: count }, () => Array.from({ length: 10 + Math.floor(random() * 190) }, residue).join(''));
}

/** Milliseconds until new sequences can be embedded. */
export async function untilHealthy(server: ServerProcess): Promise<number> {
  const startedMs = performance.now();
  while ((await fetch(`${server.url}/embeddings/health`)).status !== 200) {
    assert.ok(performance.now() - startedMs < 10_000, 'the model was not found');
    await sleep(20);
  }
  return performance.now() - startedMs;
}

export function compute(server: ServerProcess, body: object): Promise<Response> {
  return fetch(`${server.url}/embeddings/compute`, { method: 'POST', body: JSON.stringify(body) });
}

/** Every value as Triton gave it: FP16, which float32 text repeats exactly. */
export function assertRight(embeddings: Record<string, number[]>, expected: ReadonlyMap<string, Float32Array>, sequences: readonly string[]): void {
  assert.deepEqual(Object.keys(embeddings), sequences);
  for (const sequence of sequences) assert.deepEqual(bits(Float32Array.from(embeddings[sequence]!)), bits(expected.get(sequence)!));
}

/** Compared as numbers, 0 and -0 would be the same. */
export function bits(row: Float32Array): Buffer {
  return Buffer.from(row.buffer, row.byteOffset, row.byteLength);
}

export function expectedOf(sequences: readonly string[]): Map<string, Float32Array> {
  const values = Float32Array.from(expectedRows(sequences), float16Value);
  return new Map(sequences.map((sequence, i) => [sequence, values.subarray(i * dimension, (i + 1) * dimension)]));
}
