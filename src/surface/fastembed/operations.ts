// The FastEmbed-style surface: one text, or a batch, by model name (seed 001).
import type { TSchema } from 'typebox';
import type { EmbedEngine, EmbedResult } from '../../engine/embed.ts';
import { ServerError } from '../../errors.ts';
import type { Call, Reply } from '../../operation.ts';
import { acceptsEvents, ndjsonContentType, sseContentType } from '../../operation/event-text.ts';
import { bodyChecker, jsonOperation, type JsonOperation } from '../body.ts';
import { detailError } from '../detail-errors.ts';
import { checkCount, checkText } from '../inputs.ts';
import { jsonContentType, jsonReply } from '../json-reply.ts';
import { rowEvents, type RowShape } from '../vector-events.ts';
import {
  JsonBytes,
  base64Vector,
  bytesContentType,
  bytesReply,
  truncationHeaders,
  truncationRows,
  vectorFormat,
  type VectorFormat,
} from '../vectors.ts';
import {
  EmbedBatchEnvelope,
  EmbedBatchRequest,
  EmbedBatchResponse,
  EmbedOneEnvelope,
  EmbedOneRequest,
  EmbedOneResponse,
} from './schema.ts';

export const fastembedGroup = 'FastEmbed';

export type FastembedLimits = { readonly batchInputsMax: number; readonly charsMax: number };

type Input = { readonly model: string; readonly texts: readonly string[]; readonly format: VectorFormat; readonly stream: boolean };

/** Where the answers of one text and of many differ. */
type Shape = {
  readonly name: string;
  readonly path: string;
  readonly summary: string;
  readonly requestSchema: TSchema;
  readonly responseSchema: TSchema;
  readonly field: string;
  decode(body: unknown, limits: FastembedLimits): { model_name: string; texts: string[]; stream?: boolean } & Parameters<typeof vectorFormat>[0];
};

const checkOne = bodyChecker(EmbedOneEnvelope);
const checkBatch = bodyChecker(EmbedBatchEnvelope);

const one: Shape = {
  name: 'fastembed.embed',
  path: '/embed',
  summary: 'Embed one text.',
  requestSchema: EmbedOneRequest,
  responseSchema: EmbedOneResponse,
  field: 'text',
  decode(body, limits) {
    const { text, ...rest } = checkOne(body);
    checkText(text, 'text', limits);
    return { ...rest, texts: [text] };
  },
};

const batch: Shape = {
  name: 'fastembed.embed_batch',
  path: '/embed/batch',
  summary: 'Embed several texts.',
  requestSchema: EmbedBatchRequest,
  responseSchema: EmbedBatchResponse,
  field: 'texts',
  decode(body, limits) {
    const { texts, ...rest } = checkBatch(body);
    checkCount(texts.length, 'texts', limits.batchInputsMax);
    texts.forEach((text, i) => {
      const field = `texts[${i}]`;
      if (typeof text !== 'string') throw new ServerError('REQUEST_INVALID', `'${field}' must be a string.`, { field });
      checkText(text, field, limits);
    });
    return { ...rest, texts: texts as string[] };
  },
};

export function embedOne(engine: EmbedEngine, limits: FastembedLimits): JsonOperation<Input, EmbedResult> {
  return embed(one, engine, limits);
}

export function embedBatch(engine: EmbedEngine, limits: FastembedLimits): JsonOperation<Input, EmbedResult> {
  return embed(batch, engine, limits);
}

function embed(shape: Shape, engine: EmbedEngine, limits: FastembedLimits): JsonOperation<Input, EmbedResult> {
  const fields = { model: 'model_name', inputs: shape.field };
  return jsonOperation({
    name: shape.name,
    method: 'POST',
    path: shape.path,
    summary: shape.summary,
    group: fastembedGroup,
    scope: 'infer',
    requestSchema: shape.requestSchema,
    responseSchema: shape.responseSchema,
    binaryTypes: [bytesContentType, ...(shape === batch ? [sseContentType, ndjsonContentType] : [])],
    decodeBody(json, call) {
      const { model_name, texts, stream, ...body } = shape.decode(json, limits);
      return { model: model_name, texts, format: vectorFormat(body, call), stream: stream ?? acceptsEvents(call) };
    },
    run: ({ model, texts }, call) => engine.embed({ model, inputs: texts, fields }, call),
    ...(shape === batch && {
      streams: {
        wanted: ({ stream }) => stream,
        events: ({ model, texts, format }, call) =>
          rowEvents(engine.embedEach({ model, inputs: texts, fields }, call), format, call, streamShape),
      },
    }),
    encode: (result, call, input) => encode(shape, result, call, input.format),
    encodeError: detailError,
  });
}

const streamShape: RowShape = {
  item: {},
  summary: ({ model, dimension, count }) => ({ model_name: model, dimension, count }),
};

function encode(shape: Shape, result: EmbedResult, call: Call, format: VectorFormat): Reply {
  if (format.encoding === 'bytes') return bytesReply(result, format.type);
  const common = {
    model_name: result.model,
    dimension: result.dimension,
    ...(shape === batch && { count: result.rows.length }),
    processing_time: Math.round((performance.now() - call.startedMs) * 100) / 100,
    ...(result.truncated.length > 0 && { truncated: truncationRows(result) }),
  };
  const headers = truncationHeaders(result);
  if (format.encoding === 'base64') {
    const vectors = result.rows.map((row) => base64Vector(row, format.type));
    return jsonReply(200, { ...(shape === batch ? { embeddings: vectors } : { embedding: vectors[0] }), ...common }, headers);
  }
  const tail = `,${JSON.stringify(common).slice(1)}`;
  const json = new JsonBytes(result.rows.length * result.dimension, result.rows.length * 3 + tail.length * 3 + 32);
  if (shape === batch) {
    json.text('{"embeddings":');
    json.rows(result.rows);
  } else {
    json.text('{"embedding":');
    json.floats(result.rows[0]!);
  }
  json.text(tail);
  return { status: 200, contentType: jsonContentType, headers, body: json.finish() };
}
