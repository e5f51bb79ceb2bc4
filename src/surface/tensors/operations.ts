// Tensor models over JSON: list, load, run, compare (seed 003). `:version` is a version, a name, or `name:version`.
import type { TSchema } from 'typebox';
import { compare, latencyMetric, type Comparison } from '../../engine/compare.ts';
import { infer, inferBatch, type InferResult } from '../../engine/infer.ts';
import type { Fields } from '../../engine/infer-inputs.ts';
import { ServerError, toServerError } from '../../errors.ts';
import { tensorBatchItemsMax } from '../../limits.ts';
import type { AnyOperation, Call, Operation } from '../../operation.ts';
import type { LeasedModel, TensorEntry } from '../../registry/tensor-models.ts';
import { bodyChecker, jsonOperation } from '../body.ts';
import { detailError } from '../detail-errors.ts';
import { tensorGroup } from '../history/operations.ts';
import { checkCount } from '../inputs.ts';
import { jsonReply } from '../json-reply.ts';
import { historyEntry, type Record } from './record.ts';
import { batchJson, comparisonBody, inferenceJson, jsonBytesReply, modelBody, modelRow, statsBody } from './answers.ts';
import {
  BatchRequest,
  BatchResponse,
  CompareRequestSchema,
  CompareResponse,
  InferenceRequest,
  InferenceResponse,
  ModelListResponse,
  ModelResponse,
  StatsResponse,
} from './schema.ts';

/** What the operations need of the registry; `TensorModels` is one. */
export type TensorRegistry = {
  list(): readonly TensorEntry[];
  /** Throws ServerError naming `field`. */
  find(wanted: string, field: string): TensorEntry;
  use<Result>(entry: TensorEntry, work: (model: LeasedModel) => Promise<Result>): Promise<Result>;
  useAll<Result>(
    entries: readonly TensorEntry[],
    work: (models: readonly LeasedModel[]) => Promise<Result>,
  ): Promise<Result>;
  load(wanted: string, field: string): Promise<TensorEntry>;
  unload(wanted: string, field: string): Promise<{ readonly entry: TensorEntry; readonly unloaded: boolean }>;
};

export type TensorSurface = {
  readonly models: TensorRegistry;
  /** Rows of models of other kinds, listed after the tensor models; each has version, name, status and loaded. */
  readonly otherModels?: () => readonly { readonly loaded: boolean }[];
  /** One of those rows by its name; undefined when there is none. */
  readonly otherModel?: (name: string) => object | undefined;
  /** Told of every inference. */
  readonly record?: Record;
};

export function tensorOperations(surface: TensorSurface): AnyOperation[] {
  const { models, otherModels = () => [], otherModel = () => undefined, record = () => {} } = surface;
  return [
    ask('tensors.list', '/models', 'List all models, loaded or not.', ModelListResponse, () => {
      const rows = [...models.list().map(modelRow), ...otherModels()];
      return { models: rows, count: rows.length, loaded: rows.filter(({ loaded }) => loaded === true).length };
    }),
    ask('tensors.model', '/models/:version', 'What a model is: its state, inputs and outputs.', ModelResponse, (call) => {
      return modelOrOther(models, otherModel, wanted(call));
    }),
    // Names of embedding models hold a slash.
    ask('tensors.named_model', '/models/*', 'The same for a name with slashes.', ModelResponse, (call) => {
      return modelOrOther(models, otherModel, call.parameters['*'] ?? '');
    }),
    ask('tensors.stats', '/models/:version/stats', 'What a model has done.', StatsResponse, (call) => {
      return statsBody(models.find(wanted(call), 'version'));
    }),
    order('tensors.load', '/models/:version/load', 'Load a model now.', async (call) => {
      return modelBody(await models.load(wanted(call), 'version'));
    }),
    order('tensors.unload', '/models/:version/unload', 'Unload a model once nothing runs on it.', async (call) => {
      const { entry, unloaded } = await models.unload(wanted(call), 'version');
      return { ...modelRow(entry), unloaded };
    }),
    inference(models, record),
    batch(models, record),
    comparison(models),
  ];
}

function modelOrOther(models: TensorRegistry, otherModel: (name: string) => object | undefined, name: string): object {
  try {
    return modelBody(models.find(name, 'version'));
  } catch (error) {
    const other = error instanceof ServerError && error.code === 'MODEL_NOT_FOUND' ? otherModel(name) : undefined;
    if (other === undefined) throw error;
    return other;
  }
}

function inference(models: TensorRegistry, record: Record): Operation<Fields, { version: string; result: InferResult }> {
  return jsonOperation({
    name: 'tensors.inference',
    method: 'POST',
    path: '/models/:version/inference',
    summary: 'Run a model once.',
    group: tensorGroup,
    scope: 'infer',
    requestSchema: InferenceRequest,
    responseSchema: InferenceResponse,
    decodeBody: (body) => objectOf(body, 'The body'),
    async run(fields, call) {
      const entry = models.find(wanted(call), 'version');
      const running = models.use(entry, (model) => infer(model, { fields, isCancelled: () => call.cancelled }));
      const result = await running.catch((error: unknown) => {
        record(historyEntry(entry, fields, toServerError(error), call));
        throw error;
      });
      record(historyEntry(entry, fields, result, call));
      call.timings.queueMs = result.queueMs;
      call.timings.inferenceMs = result.runMs;
      return { version: entry.files.version, result };
    },
    encode: ({ version, result }) => jsonBytesReply(inferenceJson(version, result)),
    encodeError: detailError,
  });
}

function batch(
  models: TensorRegistry,
  record: Record,
): Operation<readonly unknown[], { version: string; results: readonly (InferResult | ServerError)[] }> {
  return jsonOperation({
    name: 'tensors.inference_batch',
    method: 'POST',
    path: '/models/:version/inference/batch',
    summary: `Run a model on up to ${tensorBatchItemsMax} requests; one that is wrong does not fail the others.`,
    group: tensorGroup,
    scope: 'infer',
    requestSchema: BatchRequest,
    responseSchema: BatchResponse,
    decodeBody(body) {
      const requests = Array.isArray(body) ? (body as unknown[]) : objectOf(body, 'The body')['requests'];
      if (!Array.isArray(requests))
        throw new ServerError('REQUEST_INVALID', "'requests' must be a list.", { field: 'requests' });
      checkCount(requests.length, 'requests', tensorBatchItemsMax);
      return requests as unknown[];
    },
    async run(requests, call) {
      const entry = models.find(wanted(call), 'version');
      // What is no object gets its error in its place, as if it were a request without fields.
      const isCancelled = (): boolean => call.cancelled;
      const good = requests.flatMap((fields, i) => (isObject(fields) ? [{ i, request: { fields, isCancelled } }] : []));
      const results: (InferResult | ServerError)[] = requests.map(
        () => new ServerError('REQUEST_INVALID', 'The item must be a JSON object.'),
      );
      const answered = await models.use(entry, (model) =>
        inferBatch(
          model,
          good.map(({ request }) => request),
        ),
      );
      good.forEach(({ i, request }, at) => {
        results[i] = answered[at]!;
        record(historyEntry(entry, request.fields, answered[at]!, call));
      });
      return { version: entry.files.version, results };
    },
    encode: ({ version, results }, call) =>
      jsonBytesReply(batchJson(version, results, performance.now() - call.startedMs)),
    encodeError: detailError,
  });
}

const checkCompare = bodyChecker(CompareRequestSchema);

type Compared = {
  readonly labels: readonly string[];
  readonly models: readonly LeasedModel[];
  readonly comparison: Comparison;
};

function comparison(models: TensorRegistry): AnyOperation {
  return jsonOperation<ReturnType<typeof checkCompare>, Compared>({
    name: 'tensors.compare',
    method: 'POST',
    path: '/models/compare',
    summary: 'Run versions on the same data and tell which is better, by metric and by how much.',
    group: tensorGroup,
    scope: 'infer',
    requestSchema: CompareRequestSchema,
    responseSchema: CompareResponse,
    decodeBody: checkCompare,
    run(body, call) {
      const entries = body.versions.map((version, i) => models.find(version, `versions[${i}]`));
      const twice = entries.findIndex((entry, i) => entries.indexOf(entry) !== i);
      if (twice >= 0) {
        const field = `versions[${twice}]`;
        throw new ServerError('REQUEST_INVALID', `'${field}' is the same model as another one.`, { field });
      }
      const request = {
        fields: body.test_data as Fields,
        metrics: [...new Set(body.metrics ?? ['compression_ratio', 'quality', latencyMetric])],
        runs: body.runs ?? 10,
        isCancelled: () => call.cancelled,
      };
      return models.useAll(entries, async (leased) => {
        return { labels: body.versions, models: leased, comparison: await compare(leased, request) };
      });
    },
    encode: ({ labels, models: leased, comparison: found }) => jsonReply(200, comparisonBody(labels, leased, found)),
    encodeError: detailError,
  });
}

/** A GET: nothing to read but the path. */
function ask(
  name: string,
  path: string,
  summary: string,
  responseSchema: TSchema,
  run: (call: Call) => object,
): AnyOperation {
  return {
    name,
    method: 'GET',
    path,
    summary,
    group: tensorGroup,
    scope: 'infer',
    responseSchema,
    decode: () => undefined,
    run: (_input: undefined, call: Call) => run(call),
    encode: (body: object) => jsonReply(200, body),
    encodeError: detailError,
  };
}

/** Changes what the server holds in memory: not for every client. Takes no body; one that comes is ignored. */
function order(name: string, path: string, summary: string, run: (call: Call) => Promise<object>): AnyOperation {
  return { ...ask(name, path, summary, ModelResponse, run), method: 'POST', scope: 'admin' };
}

function wanted(call: Call): string {
  return call.parameters['version'] ?? '';
}

function objectOf(body: unknown, what: string): Fields {
  if (isObject(body)) return body;
  throw new ServerError('REQUEST_INVALID', `${what} must be a JSON object.`);
}

function isObject(body: unknown): body is Fields {
  return typeof body === 'object' && body !== null && !Array.isArray(body);
}
