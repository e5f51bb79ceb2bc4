// The same inputs through several versions: what each metric says, how fast each is, and how far their outputs differ.
// Invariant: versions run in turns, so that a machine that slows down in between does not decide.
import { ServerError } from '../errors.ts';
import type { LeasedModel } from '../registry/tensor-models.ts';
import { timeSummary, type TimeSummary } from '../registry/tensor-stats.ts';
import { elementNumber, type Tensor } from '../tensor/dtypes.ts';
import type { Fields } from './infer-inputs.ts';
import { infer, type InferResult } from './infer.ts';

/** The name of the metric that is measured here, not by a model. */
export const latencyMetric = 'latency';

export type CompareRequest = {
  readonly fields: Fields;
  /** `latency`, or a model's metric by its field or its other name. */
  readonly metrics: readonly string[];
  /** Timed runs of each version, after one that warms up. */
  readonly runs: number;
  readonly isCancelled: () => boolean;
};

export type OutputDifference = {
  readonly field: string;
  /** False where the versions give different shapes or types, or strings. */
  readonly isComparable: boolean;
  readonly maxAbs: number;
  readonly meanAbs: number;
};

/** The best version by one metric, against each other one. */
export type Verdict = {
  readonly metric: string;
  /** Indexes of the best: several that are equal. */
  readonly best: readonly number[];
  /** By how much the best differs from the next best, in the metric's unit and of the latter's value; 0 for equals. */
  readonly by: number;
  readonly byPercent: number;
};

export type Comparison = {
  /** One row a version, in the order asked for. Undefined where a version does not have the metric. */
  readonly rows: readonly {
    readonly metrics: ReadonlyMap<string, number | undefined>;
    readonly latency: TimeSummary | undefined;
  }[];
  readonly verdicts: readonly Verdict[];
  /** Of each pair of versions, by index. */
  readonly differences: readonly {
    readonly pair: readonly [number, number];
    readonly outputs: readonly OutputDifference[];
  }[];
};

/** Throws as `infer` does, and REQUEST_INVALID for a metric that none of the versions has. */
export async function compare(models: readonly LeasedModel[], request: CompareRequest): Promise<Comparison> {
  const known = models.map((model) => metricFields(model, request.metrics));
  for (const metric of request.metrics) {
    if (metric === latencyMetric || known.some((fields) => fields.has(metric))) continue;
    throw new ServerError(
      'REQUEST_INVALID',
      `'metrics' names ${JSON.stringify(metric.slice(0, 80))}, which no version has.`,
      { field: 'metrics' },
    );
  }
  const { firsts, times } = await runInTurns(models, request);
  const rows = firsts.map((first, i) => ({
    metrics: new Map(
      request.metrics
        .filter((metric) => metric !== latencyMetric)
        .map((metric) => {
          const field = known[i]!.get(metric)?.field;
          return [metric, field === undefined ? undefined : first.metrics.get(field)] as const;
        }),
    ),
    latency: request.metrics.includes(latencyMetric) ? timeSummary(times[i]!) : undefined,
  }));
  const verdicts = request.metrics.flatMap((metric) => {
    if (metric === latencyMetric)
      return [
        verdict(
          metric,
          rows.map(({ latency }) => latency!.p50Ms),
          'lower',
        ),
      ];
    const better = known.map((fields) => fields.get(metric)?.better).find(Boolean);
    // A metric of which the manifest does not say what is good has no winner.
    return better === undefined
      ? []
      : [
          verdict(
            metric,
            rows.map((row) => row.metrics.get(metric)),
            better,
          ),
        ];
  });
  return { rows, verdicts, differences: differencesOf(firsts) };
}

type MetricField = { readonly field: string; readonly better: 'higher' | 'lower' | undefined };

function metricFields({ table }: LeasedModel, metrics: readonly string[]): Map<string, MetricField> {
  return new Map(
    metrics.flatMap((metric) => {
      const output = table.outputs.find(
        (each) => each.metric !== undefined && (each.field === metric || each.metric.as === metric),
      );
      return output === undefined ? [] : [[metric, { field: output.field, better: output.metric!.better }]];
    }),
  );
}

async function runInTurns(
  models: readonly LeasedModel[],
  request: CompareRequest,
): Promise<{ firsts: InferResult[]; times: number[][] }> {
  // Which version it is for is said beside the data.
  const fields = { ...request.fields, version: undefined };
  const firsts: InferResult[] = [];
  for (const model of models) firsts.push(await infer(model, { fields, isCancelled: request.isCancelled }));
  const times: number[][] = models.map(() => []);
  for (let round = 0; round < request.runs; round++) {
    for (const [i, model] of models.entries()) {
      times[i]!.push((await infer(model, { fields, isCancelled: request.isCancelled })).runMs);
    }
  }
  return { firsts, times };
}

function verdict(metric: string, values: readonly (number | undefined)[], better: 'higher' | 'lower'): Verdict {
  const sign = better === 'higher' ? 1 : -1;
  const finite = values.filter((value) => value !== undefined && Number.isFinite(value)) as number[];
  const sorted = finite.toSorted((a, b) => sign * (b - a));
  const [best, next = best] = sorted;
  if (best === undefined || next === undefined) return { metric, best: [], by: 0, byPercent: 0 };
  const indexes = values.flatMap((value, i) => (value === best ? [i] : []));
  const by = Math.abs(best - next);
  return { metric, best: indexes, by, byPercent: next === 0 ? 0 : (by / Math.abs(next)) * 100 };
}

function differencesOf(results: readonly InferResult[]): Comparison['differences'] {
  return results.flatMap((a, i) =>
    results.slice(i + 1).map((b, j) => {
      const outputs = a.outputs.flatMap(({ field, tensor }) => {
        const other = b.outputs.find((output) => output.field === field)?.tensor;
        return other === undefined ? [] : [{ field, ...difference(tensor, other) }];
      });
      return { pair: [i, i + 1 + j] as const, outputs };
    }),
  );
}

function difference(a: Tensor, b: Tensor): Omit<OutputDifference, 'field'> {
  if (a.datatype === 'string' || a.datatype !== b.datatype || a.shape.join() !== b.shape.join()) {
    return { isComparable: false, maxAbs: NaN, meanAbs: NaN };
  }
  let maxAbs = 0;
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) {
    const apart = Math.abs(elementNumber(a, i) - elementNumber(b, i));
    maxAbs = Math.max(maxAbs, apart);
    sum += apart;
  }
  return { isComparable: true, maxAbs, meanAbs: sum / Math.max(1, a.data.length) };
}
