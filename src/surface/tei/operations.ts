// text-embeddings-inference's /embed, so that its clients work unchanged.
import type { EmbedInput } from '../../backend/protocol.ts';
import type { EmbedEngine, EmbedRequest, EmbedResult } from '../../engine/embed.ts';
import type { Call, Reply } from '../../operation.ts';
import { bodyChecker, jsonOperation, type JsonOperation } from '../body.ts';
import { embedInputs, type InputLimits } from '../inputs.ts';
import { jsonContentType } from '../json-reply.ts';
import { JsonBytes, bytesContentType, bytesReply, tokensKept, truncationHeaders, vectorFormat, type VectorFormat } from '../vectors.ts';
import { teiError } from './errors.ts';
import { TeiEmbedEnvelope, TeiEmbedRequest, TeiEmbedResponse } from './schema.ts';

export const teiGroup = 'text-embeddings-inference';

type Input = {
  readonly request: Omit<EmbedRequest, 'inputs' | 'fields'>;
  readonly inputs: readonly EmbedInput[];
  readonly format: VectorFormat;
};

const checkEnvelope = bodyChecker(TeiEmbedEnvelope);

/** @param defaultModel answers requests that name none, as all of its clients' do. */
export function teiEmbed(engine: EmbedEngine, defaultModel: string, limits: InputLimits): JsonOperation<Input, EmbedResult> {
  return jsonOperation({
    name: 'tei.embed',
    method: 'POST',
    path: '/embed',
    summary: 'Embed texts or token ids.',
    group: teiGroup,
    scope: 'infer',
    requestSchema: TeiEmbedRequest,
    responseSchema: TeiEmbedResponse,
    binaryTypes: [bytesContentType],
    decodeBody(json, call) {
      const body = checkEnvelope(json);
      return {
        request: {
          model: body.model ?? defaultModel,
          dimensions: body.dimensions ?? undefined,
          normalize: body.normalize ?? true,
          truncation: body.truncate === false ? 'refuse' : body.truncation_direction?.toLowerCase() === 'left' ? 'left' : 'right',
          promptName: body.prompt_name ?? undefined,
        },
        inputs: embedInputs(body.inputs, 'inputs', limits),
        format: vectorFormat(body, call),
      };
    },
    run: ({ request, inputs }, call) => engine.embed({ ...request, inputs, fields: { model: 'model', inputs: 'inputs' } }, call),
    encode: (result, call, input) => encode(result, call, input.format),
    encodeError: teiError,
  });
}

function encode(result: EmbedResult, call: Call, format: VectorFormat): Reply {
  if (format.encoding === 'bytes') return bytesReply(result, format.type);
  const json = new JsonBytes(result.rows.length * result.dimension, result.rows.length * 3 + 2);
  json.rows(result.rows);
  return { status: 200, contentType: jsonContentType, headers: { ...computeHeaders(result, call), ...truncationHeaders(result) }, body: json.finish() };
}

/** Its own answer headers; times in milliseconds. */
function computeHeaders(result: EmbedResult, call: Call): Record<string, string> {
  return {
    'x-compute-tokens': String(tokensKept(result)),
    'x-total-time': String(Math.round(performance.now() - call.startedMs)),
    'x-tokenization-time': String(Math.round(result.tokenizeMs)),
    'x-queue-time': String(Math.round(result.queueMs)),
    'x-inference-time': String(Math.round(result.inferenceMs)),
  };
}
