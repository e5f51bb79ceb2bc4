// Answers of the tensor models' operations as JSON, with the field names of the service whose place this takes
// (seed 003).
import type { Comparison } from '../../engine/compare.ts';
import type { InferResult } from '../../engine/infer.ts';
import type { ServerError } from '../../errors.ts';
import type { Reply } from '../../operation.ts';
import type { LeasedModel, TensorEntry } from '../../registry/tensor-models.ts';
import { writeNested } from '../../tensor/nested.ts';
import { detailError } from '../detail-errors.ts';
import { jsonContentType } from '../json-reply.ts';

/** As Python's isoformat() prints UTC: without a zone, which is what such clients parse. */
function timestamp(ms = Date.now()): string {
  return new Date(ms).toISOString().slice(0, -1);
}

/** What is said of an inference beside its outputs. */
export function inferenceTail({ metrics, returnMetrics, runMs }: InferResult): object {
  const ratio = metrics.get('compression_ratio');
  return {
    ...(returnMetrics && metrics.size > 0 && { metrics: numbers(metrics) }),
    ...(ratio !== undefined && { compression_ratio: shortest(ratio) }),
    inference_time_ms: milliseconds(runMs),
    timestamp: timestamp(),
  };
}

/** One inference. Outputs are written as bytes: an image never becomes a JavaScript string. */
export function inferenceJson(version: string, result: InferResult): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`{"version":${JSON.stringify(version)}`)];
  for (const { field, tensor } of result.outputs) parts.push(Buffer.from(`,${JSON.stringify(field)}:`), writeNested(tensor));
  parts.push(Buffer.from(`,${JSON.stringify(inferenceTail(result)).slice(1)}`));
  return Buffer.concat(parts);
}

export function batchJson(version: string, results: readonly (InferResult | ServerError)[], totalMs: number): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`{"version":${JSON.stringify(version)},"results":[`)];
  let failed = 0;
  results.forEach((result, i) => {
    if (i > 0) parts.push(Buffer.from(','));
    if (result instanceof Error) {
      failed += 1;
      parts.push(Buffer.from(`{"error":${detailError(result).body as string}}`));
    } else {
      parts.push(inferenceJson(version, result));
    }
  });
  parts.push(Buffer.from(`],${JSON.stringify(batchTail(results.length, failed, totalMs)).slice(1)}`));
  return Buffer.concat(parts);
}

/** What is said of a batch beside its results. */
export function batchTail(count: number, failed: number, totalMs: number): object {
  return { count, succeeded: count - failed, failed, total_time_ms: milliseconds(totalMs), timestamp: timestamp() };
}

export function jsonBytesReply(body: Uint8Array): Reply {
  return { status: 200, contentType: jsonContentType, body };
}

/** The versions by the names that the client gave them. */
export function comparisonBody(
  labels: readonly string[],
  models: readonly LeasedModel[],
  comparison: Comparison,
): object {
  return {
    versions: labels,
    results: comparison.rows.map(({ metrics, latency }, i) => ({
      version: models[i]!.files.version,
      name: models[i]!.files.name,
      ...numbers(metrics),
      ...(latency && {
        latency: {
          runs: latency.count,
          mean_ms: milliseconds(latency.meanMs),
          p50_ms: milliseconds(latency.p50Ms),
          p95_ms: milliseconds(latency.p95Ms),
        },
      }),
    })),
    comparison: comparison.verdicts.map(({ metric, best, by, byPercent }) => ({
      metric,
      better: best.length === 1 ? labels[best[0]!]! : null,
      equal: best.length > 1 ? best.map((i) => labels[i]!) : [],
      by: shortest(by),
      by_percent: Math.round(byPercent * 100) / 100,
    })),
    differences: comparison.differences.map(({ pair, outputs }) => ({
      versions: pair.map((i) => labels[i]!),
      outputs: outputs.map(({ field, isComparable, maxAbs, meanAbs }) => ({
        output: field,
        comparable: isComparable,
        max_abs: isComparable ? maxAbs : null,
        mean_abs: isComparable ? meanAbs : null,
      })),
    })),
    timestamp: timestamp(),
  };
}

/** A row of the list, and what each of the model's operations begins with. */
export function modelRow({ files, state, slot, model, loadedAtMs, loadMs }: TensorEntry): Record<string, unknown> {
  return {
    version: files.version,
    name: files.name,
    status: state,
    loaded: state === 'ready',
    size_bytes: files.bytes,
    modified: timestamp(files.modifiedMs),
    ...(state === 'failed' && slot.failure !== undefined && { error: slot.failure.message }),
    ...(model !== undefined && {
      loaded_at: timestamp(loadedAtMs),
      load_time_ms: milliseconds(loadMs),
      device: model.backend.description.provider,
    }),
  };
}

/** With the table of inputs and outputs, known once the model is loaded. */
export function modelBody(entry: TensorEntry): Record<string, unknown> {
  const { model } = entry;
  if (model === undefined) return modelRow(entry);
  const { description, instances } = model.manifest;
  const { fallback } = model.backend.description;
  return {
    ...modelRow(entry),
    ...(description !== undefined && { description }),
    ...(fallback !== undefined && { device_fallback: fallback }),
    instances,
    inputs: model.table.inputs.map((input) => ({
      name: input.field,
      datatype: input.datatype,
      ...(input.shape !== undefined && { shape: input.shape }),
      optional: input.default !== undefined,
      ...(input.range !== undefined && { range: input.range }),
    })),
    outputs: model.table.outputs.map((output) => ({
      name: output.field,
      datatype: output.datatype,
      shape: output.shape,
      ...(output.when !== undefined && { when: output.when }),
      ...(output.metric !== undefined && { metric: true }),
    })),
  };
}

export function statsBody({ files, state, stats, loads, slot, model }: TensorEntry): Record<string, unknown> {
  const { count, meanMs, p50Ms, p95Ms, maxMs } = stats.times;
  return {
    version: files.version,
    name: files.name,
    status: state,
    requests: stats.requests,
    failures: stats.failures,
    inference_time_ms: {
      mean: milliseconds(meanMs),
      p50: milliseconds(p50Ms),
      p95: milliseconds(p95Ms),
      max: milliseconds(maxMs),
      runs: count,
    },
    metrics: numbers(stats.metricMeans),
    loads,
    in_use: slot.leases,
    pending: model?.backend.pending ?? 0,
    last_used: stats.lastUsedMs === undefined ? null : timestamp(stats.lastUsedMs),
  };
}

function milliseconds(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** The fewest digits that read back as the same float32, of which metrics mostly are; null for what JSON has not. */
function shortest(value: number | undefined): number | null {
  if (value === undefined || !Number.isFinite(value)) return null;
  for (let digits = 1; digits < 9 && Math.fround(value) === value; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

function numbers(values: ReadonlyMap<string, number | undefined>): Record<string, number | null> {
  return Object.fromEntries([...values].map(([name, value]) => [name, shortest(value)]));
}
