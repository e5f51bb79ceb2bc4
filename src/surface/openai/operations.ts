// The OpenAI surface: embeddings and models, as the official clients speak it (seed 002).
import type { EmbedInput } from '../../backend/protocol.ts';
import { Repeats } from '../../cache/repeats.ts';
import type { EmbedEngine, EmbedResult } from '../../engine/embed.ts';
import type { AnyOperation, Call, Operation, Reply } from '../../operation.ts';
import { acceptsEvents, ndjsonContentType, sseContentType } from '../../operation/event-text.ts';
import type { KnownModel, Registry } from '../../registry/registry.ts';
import { bodyChecker, jsonOperation, parseJson, type JsonOperation } from '../body.ts';
import { embedInputs, type InputLimits } from '../inputs.ts';
import { jsonContentType, jsonReply } from '../json-reply.ts';
import {
  JsonBytes,
  base64Vector,
  bytesContentType,
  bytesReply,
  tokensKept,
  truncationHeaders,
  truncationRows,
  asksOnlyByBody,
  vectorFormat,
  type VectorFormat,
} from '../vectors.ts';
import { rowEvents, type RowShape } from '../vector-events.ts';
import { openaiError } from './errors.ts';
import { EmbeddingsEnvelope, EmbeddingsRequest, EmbeddingsResponse, ModelList, ModelObject } from './schema.ts';

export const openaiGroup = 'OpenAI';

const openaiFields = { model: 'model', inputs: 'input' };

type EmbeddingsInput = {
  readonly model: string;
  readonly inputs: readonly EmbedInput[];
  readonly dimensions: number | undefined;
  readonly format: VectorFormat;
  readonly stream: boolean;
  /** Of a request whose body says it all: what to keep its answer by. */
  readonly key?: string | undefined;
};

/** What a body asked, and how it was answered from memory: with these very rows. */
type Repeat = { readonly input: EmbeddingsInput; readonly rows: readonly Float32Array[]; readonly reply: Reply };

/** @param repeats whether answers from memory are kept as they are, for requests that come again byte for byte */
export function openaiOperations(
  engine: EmbedEngine, registry: Registry, limits: InputLimits, repeats: boolean = false,
): AnyOperation[] {
  const kept = repeats ? new Repeats<Repeat>() : undefined;
  return [
    embeddings('/v1/embeddings', engine, limits, kept),
    // Clients whose base URL lacks /v1, as text-embeddings-inference serves it.
    embeddings('/embeddings', engine, limits, kept),
    listModels(registry),
    getModel(registry),
  ];
}

function embeddings(
  path: string, engine: EmbedEngine, limits: InputLimits, kept: Repeats<Repeat> | undefined,
): JsonOperation<EmbeddingsInput, EmbedResult> {
  const operation = jsonOperation<EmbeddingsInput, EmbedResult>({
    name: 'openai.embeddings',
    alias: 'embed',
    method: 'POST',
    path,
    summary: 'Embed a text, several texts, or token ids.',
    group: openaiGroup,
    scope: 'infer',
    requestSchema: EmbeddingsRequest,
    responseSchema: EmbeddingsResponse,
    binaryTypes: [bytesContentType, sseContentType, ndjsonContentType],
    decodeBody: (body, call) => decodeEmbeddings(body, call, limits),
    run: ({ model, inputs, dimensions }, call) => engine.embed({ model, inputs, dimensions, fields: openaiFields }, call),
    streams: {
      wanted: ({ stream }) => stream,
      events: ({ model, inputs, dimensions, format }, call) =>
        rowEvents(engine.embedEach({ model, inputs, dimensions, fields: openaiFields }, call), format, call, streamShape),
    },
    encode: (result, _call, input) => encodeEmbeddings(result, input.format),
    encodeError: openaiError,
  });
  return kept === undefined ? operation : repeatable(operation, kept);
}

/** Everything is done as ever but parsing and writing: the vectors are asked for, checked and counted anew. */
function repeatable(
  operation: JsonOperation<EmbeddingsInput, EmbedResult>, kept: Repeats<Repeat>,
): JsonOperation<EmbeddingsInput, EmbedResult> {
  return {
    ...operation,
    decode: (bytes, call) => {
      const key = asksOnlyByBody(call) ? kept.key(bytes) : undefined;
      if (key === undefined) return operation.decode(bytes, call);
      return kept.get(key)?.input ?? { ...operation.decodeBody(parseJson(bytes), call), key };
    },
    encode: (result, call, input) => {
      const { key } = input;
      if (key === undefined || result.cache.misses > 0) return operation.encode(result, call, input);
      const known = kept.get(key);
      if (known !== undefined && known.rows.every((row, i) => row === result.rows[i])) return known.reply;
      const written = operation.encode(result, call, input);
      const body = ownBytes(written.body);
      if (body === undefined) return written;
      const reply = { ...written, body };
      // The cache may let the vectors go before this does.
      const rowBytes = result.rows.reduce((sum, row) => sum + row.byteLength, 0);
      kept.keep(key, { input, rows: result.rows, reply }, key.length + body.byteLength + rowBytes);
      return reply;
    },
  };
}

/** In memory of that size: an answer is written into room for the longest one, which would be kept with it. */
function ownBytes(body: Reply['body']): Uint8Array | undefined {
  if (typeof body === 'string') return new TextEncoder().encode(body);
  return body instanceof Uint8Array ? new Uint8Array(body) : undefined;
}

/** The same items and the same end as the answer in one piece has. */
const streamShape: RowShape = {
  item: { object: 'embedding' },
  summary: ({ model, tokens }) => ({ object: 'list', model, usage: { prompt_tokens: tokens, total_tokens: tokens } }),
};

const checkEnvelope = bodyChecker(EmbeddingsEnvelope);

function decodeEmbeddings(json: unknown, call: Call, limits: InputLimits): EmbeddingsInput {
  const body = checkEnvelope(json);
  const format = vectorFormat(body, call);
  const inputs = embedInputs(body.input, 'input', limits);
  return { model: body.model, inputs, dimensions: body.dimensions ?? undefined, format, stream: body.stream ?? acceptsEvents(call) };
}

function encodeEmbeddings(result: EmbedResult, format: VectorFormat): Reply {
  if (format.encoding === 'bytes') return bytesReply(result, format.type);
  const tokens = tokensKept(result);
  const tail =
    `],"model":${JSON.stringify(result.model)},"usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}}` +
    (result.truncated.length > 0 ? `,"truncated":${JSON.stringify(truncationRows(result))}}` : '}');
  const headers = truncationHeaders(result);
  const body = format.encoding === 'base64' ? base64Body(result, format, tail) : floatBody(result, tail);
  return { status: 200, contentType: jsonContentType, headers, body };
}

const listStart = '{"object":"list","data":[';

function itemStart(index: number): string {
  return `${index > 0 ? ',' : ''}{"object":"embedding","index":${index},"embedding":`;
}

function base64Body(result: EmbedResult, format: VectorFormat, tail: string): string {
  const items = result.rows.map((row, i) => `${itemStart(i)}"${base64Vector(row, format.type)}"}`);
  return `${listStart}${items.join('')}${tail}`;
}

function floatBody(result: EmbedResult, tail: string): Uint8Array {
  const { rows, dimension } = result;
  const itemBytesMax = itemStart(1e9).length + 3;
  const json = new JsonBytes(rows.length * dimension, listStart.length + rows.length * itemBytesMax + tail.length * 3);
  json.text(listStart);
  rows.forEach((row, i) => {
    json.text(itemStart(i));
    json.floats(row);
    json.text('}');
  });
  json.text(tail);
  return json.finish();
}

function listModels(registry: Registry): Operation<undefined, readonly KnownModel[]> {
  return {
    name: 'openai.models',
    method: 'GET',
    path: '/v1/models',
    summary: 'List the models.',
    group: openaiGroup,
    scope: 'infer',
    responseSchema: ModelList,
    decode: () => undefined,
    run: () => registry.list(),
    encode: (models) => jsonReply(200, { object: 'list', data: models.map(modelObject) }),
    encodeError: openaiError,
  };
}

function getModel(registry: Registry): Operation<string, KnownModel> {
  return {
    name: 'openai.model',
    method: 'GET',
    path: '/v1/models/*',
    summary: 'Describe one model; its name may hold slashes, raw or encoded.',
    group: openaiGroup,
    scope: 'infer',
    responseSchema: ModelObject,
    decode: (_bytes, call) => call.parameters['*'] ?? '',
    run: (name) => registry.find(name, 'model'),
    encode: (model) => jsonReply(200, modelObject(model)),
    encodeError: openaiError,
  };
}

function modelObject(model: KnownModel): object {
  const [owner, rest] = model.name.split('/');
  return {
    id: model.name,
    object: 'model',
    created: Math.floor(model.createdMs / 1000),
    owned_by: rest === undefined ? 'ortserve' : owner,
  };
}
