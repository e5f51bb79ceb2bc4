// Tensor models over JSON: run and compare (seed 003), with the lives of all models. `:version` is a version, a name,
// or `name:version`.
import { compare, latencyMetric, type Comparison } from '../../engine/compare.ts';
import { infer, inferBatch, type InferResult } from '../../engine/infer.ts';
import { flagOf, type Fields } from '../../engine/infer-inputs.ts';
import { ServerError, toServerError } from '../../errors.ts';
import { tensorBatchItemsMax } from '../../limits.ts';
import type { AnyOperation, Operation } from '../../operation.ts';
import { acceptsEvents, ndjsonContentType, sseContentType } from '../../operation/event-text.ts';
import type { LeasedModel } from '../../registry/tensor-models.ts';
import { bodyChecker, jsonOperation } from '../body.ts';
import { detailError } from '../detail-errors.ts';
import { tensorGroup } from '../history/operations.ts';
import { checkCount } from '../inputs.ts';
import { jsonReply } from '../json-reply.ts';
import { downloadOperation } from './download.ts';
import { inferenceEvents, notAnObject, oneInferenceEvents } from './events.ts';
import { lifecycleOperations, noOtherModels, wanted, type OtherModels, type TensorRegistry } from './lifecycle.ts';
import { uploadOperations, type Uploads } from './upload.ts';
import { historyEntry, orRecorded, type Recorder } from './record.ts';
import { batchJson, comparisonBody, inferenceJson, jsonBytesReply } from './answers.ts';
import {
  BatchRequest,
  BatchResponse,
  CompareRequestSchema,
  CompareResponse,
  InferenceRequest,
  InferenceResponse,
} from './schema.ts';

export type TensorSurface = {
  readonly models: TensorRegistry;
  /** Models of other kinds, listed after the tensor models. */
  readonly otherModels?: OtherModels;
  /** Told of every inference. */
  readonly record?: Recorder;
  /** Takes models from outside; absent, those operations refuse. */
  readonly uploads?: Uploads;
};

export function tensorOperations({ models, otherModels = noOtherModels, record = () => {}, uploads }: TensorSurface): AnyOperation[] {
  return [
    ...lifecycleOperations(models, otherModels),
    inference(models, record),
    batch(models, record),
    comparison(models),
    downloadOperation(models),
    ...uploadOperations(uploads),
  ];
}

function inference(models: TensorRegistry, record: Recorder): Operation<Fields, { version: string; result: InferResult }> {
  const use: TensorRegistry['use'] = (entry, work) => models.use(entry, work);
  return jsonOperation({
    name: 'tensors.inference',
    alias: 'infer',
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
    streams: {
      wanted: () => false,
      events: (fields, call) => oneInferenceEvents(use, models.find(wanted(call), 'version'), fields, call, record),
    },
    encode: ({ version, result }) => jsonBytesReply(inferenceJson(version, result)),
    encodeError: detailError,
  });
}

type BatchInput = { readonly requests: readonly unknown[]; readonly stream: boolean };

function batch(
  models: TensorRegistry,
  record: Recorder,
): Operation<BatchInput, { version: string; results: readonly (InferResult | ServerError)[] }> {
  const use: TensorRegistry['use'] = (entry, work) => models.use(entry, work);
  return jsonOperation({
    name: 'tensors.inference_batch',
    alias: 'infer_batch',
    method: 'POST',
    path: '/models/:version/inference/batch',
    summary: `Run a model on up to ${tensorBatchItemsMax} requests; one that is wrong does not fail the others.`,
    group: tensorGroup,
    scope: 'infer',
    requestSchema: BatchRequest,
    responseSchema: BatchResponse,
    binaryTypes: [sseContentType, ndjsonContentType],
    decodeBody(body, call) {
      const fields: Fields = Array.isArray(body) ? { requests: body } : objectOf(body, 'The body');
      const { requests } = fields;
      const stream = flagOf(fields, 'stream', acceptsEvents(call));
      if (!Array.isArray(requests))
        throw new ServerError('REQUEST_INVALID', "'requests' must be a list.", { field: 'requests' });
      checkCount(requests.length, 'requests', tensorBatchItemsMax);
      return { requests: requests as unknown[], stream };
    },
    streams: {
      wanted: ({ stream }) => stream,
      events: ({ requests }, call) => inferenceEvents(use, models.find(wanted(call), 'version'), requests, call, record),
    },
    async run({ requests }, call) {
      const entry = models.find(wanted(call), 'version');
      // What is no object gets its error in its place, as if it were a request without fields.
      const isCancelled = (): boolean => call.cancelled;
      const good = requests.flatMap((fields, i) => (isObject(fields) ? [{ i, request: { fields, isCancelled } }] : []));
      const results: (InferResult | ServerError)[] = requests.map(
        notAnObject,
      );
      const running = models.use(entry, (model) =>
        inferBatch(
          model,
          good.map(({ request }) => request),
        ),
      );
      const answered = await orRecorded(running, entry, good.map(({ request }) => request.fields), call, record);
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

function objectOf(body: unknown, what: string): Fields {
  if (isObject(body)) return body;
  throw new ServerError('REQUEST_INVALID', `${what} must be a JSON object.`);
}

function isObject(body: unknown): body is Fields {
  return typeof body === 'object' && body !== null && !Array.isArray(body);
}
