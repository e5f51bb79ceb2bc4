// POST /v1/chat/completions: the semantic cache as a drop-in in front of any OpenAI-compatible server.
import type { AnswerEngine, Answered, CachedQuestion } from '../../engine/answer.ts';
import { namespaceOf } from '../../access/namespace.ts';
import { ServerError } from '../../errors.ts';
import type { AnyOperation, Call, Operation, Reply, ReplyStream } from '../../operation.ts';
import { chatQuestion, type ChatBody } from '../../upstream/chat-request.ts';
import { replayed, type Completion } from '../../upstream/completion.ts';
import type { UpstreamResponse } from '../../upstream/upstream.ts';
import { bodyChecker, parseJson } from '../body.ts';
import { jsonContentType, jsonReply } from '../json-reply.ts';
import { openaiError } from '../openai/errors.ts';
import { openaiGroup } from '../openai/operations.ts';
import { cacheControl, cacheHeaders } from './cache-headers.ts';
import { ChatRequest, ChatResponse } from './schema.ts';

export type ChatOptions = {
  /** For requests that name none. */
  readonly model: string | undefined;
  /** Requests that want more chance than that are not cached. */
  readonly temperatureMax: number;
  readonly timeoutMs: number;
  /** Parts of the request that part tenants of one key: header names, and top-level fields of the body. */
  readonly partitionHeaders: readonly string[];
  readonly partitionFields: readonly string[];
  /** Whether the client's own key goes on to the upstream. */
  readonly forwardsKey: boolean;
};

type Input = {
  readonly body: ChatBody;
  /** As the client sent it, unless the model had to be filled in. */
  readonly bytes: Uint8Array;
  readonly cached: CachedQuestion | undefined;
  readonly streams: boolean;
};

type Output =
  | { readonly kind: 'completion'; readonly answered: Answered; readonly completion: Completion }
  | { readonly kind: 'stream'; readonly answered: Answered; readonly head: UpstreamHead; readonly stream: ReplyStream }
  | { readonly kind: 'whole'; readonly answered: Answered; readonly head: UpstreamHead; readonly bytes: Uint8Array };

type UpstreamHead = Omit<UpstreamResponse, 'body'>;

const eventStream = 'text/event-stream';
const checkEnvelope = bodyChecker(ChatRequest);

export function chatOperations(engine: AnswerEngine, options: ChatOptions): AnyOperation[] {
  const operation = chatCompletions(engine, options);
  return [operation, { ...operation, name: 'openai.chat.root', path: '/chat/completions' }];
}

function chatCompletions(engine: AnswerEngine, options: ChatOptions): Operation<Input, Output> {
  return {
    name: 'openai.chat',
    alias: 'chat',
    method: 'POST',
    path: '/v1/chat/completions',
    summary: 'Answer a chat from the semantic cache, or from the upstream. Streams with `stream: true`.',
    group: openaiGroup,
    scope: 'infer',
    requestSchema: ChatRequest,
    responseSchema: ChatResponse,
    binaryTypes: [eventStream],
    timeoutMs: options.timeoutMs,
    decode: (bytes, call) => decode(bytes, call, options),
    async run(input, call) {
      const authorization = options.forwardsKey ? call.header('authorization') : '';
      const { cached, bytes, streams } = input;
      if (!engine.hasUpstream && cached === undefined) throw new ServerError('UPSTREAM_ABSENT');
      const answered = await engine.answer({ cached, body: bytes, streams, authorization }, call);
      return outputOf(answered, streams);
    },
    encode: (output, _call, input) => encode(output, input),
    encodeError: openaiError,
  };
}

function decode(bytes: Uint8Array, call: Call, options: ChatOptions): Input {
  const body = checkEnvelope(parseJson(bytes)) as ChatBody;
  const model = body.model ?? options.model;
  if (model === undefined) throw new ServerError('REQUEST_INVALID', "'model' is missing.", { field: 'model' });
  return {
    body,
    bytes: body.model === undefined ? Buffer.from(JSON.stringify({ ...body, model })) : bytes.slice(),
    cached: cachedQuestion(body, model, call, options),
    streams: body.stream === true,
  };
}

/** Undefined for what must go to the upstream untouched. */
function cachedQuestion(body: ChatBody, model: string, call: Call, options: ChatOptions): CachedQuestion | undefined {
  // Asked first, so that a wrong namespace is refused whatever the request is.
  const namespace = namespaceOf(call);
  const { read, write } = cacheControl(call);
  if (!write || (body.temperature ?? 0) > options.temperatureMax) return undefined;
  const parts = [
    ...options.partitionHeaders.map((name) => `${name}=${call.header(name)}`),
    ...options.partitionFields.map((name) => `${name}:${JSON.stringify(body[name]) ?? ''}`),
  ];
  const question = chatQuestion(body, model, parts);
  return question && { partition: { namespace, key: question.key }, text: question.text, read };
}

async function outputOf(answered: Answered, streams: boolean): Promise<Output> {
  if (answered.from === 'nowhere') throw new ServerError('UPSTREAM_ABSENT', 'The cache has no answer, and this server has no upstream to ask: see UPSTREAM_URL.');
  if (answered.from !== 'upstream') return { kind: 'completion', answered, completion: answered.completion };
  const { response, leave } = answered;
  const head = await response.head;
  if (streams && head.contentType.startsWith(eventStream)) {
    return { kind: 'stream', answered, head, stream: { chunks: leaving(response.chunks(), leave) } };
  }
  const bytes = await response.whole.finally(leave);
  return { kind: 'whole', answered, head, bytes };
}

/** The same chunks; tells when nobody wants more of them, even if nobody wanted any. */
function leaving(inner: AsyncGenerator<Uint8Array>, leave: () => void): AsyncIterable<Uint8Array> {
  const iterator: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => iterator,
    next: async () => {
      const result = await inner.next();
      if (result.done === true) leave();
      return result;
    },
    return: async () => {
      leave();
      // A generator that waits inside would hold this up until the upstream says more.
      void inner.return(undefined).catch(() => {});
      return { done: true, value: undefined };
    },
  };
  return iterator;
}

function encode(output: Output, input: Input): Reply {
  const headers = cacheHeaders(output.answered, input.cached !== undefined);
  if (output.kind === 'completion') {
    if (!input.streams) return jsonReply(200, output.completion, headers);
    const body = [...replayed(output.completion, input.body.stream_options?.include_usage === true)].join('');
    return { status: 200, contentType: eventStream, headers: { ...headers, 'cache-control': 'no-cache' }, body };
  }
  const { status, contentType, headers: upstreamHeaders } = output.head;
  const all = { ...upstreamHeaders, ...headers };
  if (output.kind === 'stream') return { status, contentType, headers: { ...all, 'cache-control': 'no-cache' }, body: output.stream };
  return { status, contentType: contentType || jsonContentType, headers: all, body: output.bytes };
}
