// POST /v1/chat/completions: the semantic cache as a drop-in in front of any OpenAI-compatible server.
import type { AnswerEngine, Answered, CachedQuestion } from '../../engine/answer.ts';
import { namespaceOf } from '../../access/namespace.ts';
import { ServerError } from '../../errors.ts';
import type { AnyOperation, Call, Operation, Reply, ReplyStream } from '../../operation.ts';
import type { Streams } from '../../operation/events.ts';
import { chatQuestion, type ChatBody } from '../../upstream/chat-request.ts';
import { replayed, type Completion } from '../../upstream/completion.ts';
import type { UpstreamResponse } from '../../upstream/upstream.ts';
import { bodyChecker, parseJson, refusingDeepNesting } from '../body.ts';
import { jsonContentType, jsonReply } from '../json-reply.ts';
import { openaiError } from '../openai/errors.ts';
import { openaiGroup } from '../openai/operations.ts';
import { partitionParts, type PartitionOptions } from '../query/partition.ts';
import { cacheControl, cacheHeaders } from './cache-headers.ts';
import { chatEvents, includesUsage, parsed, type ReplyHead } from './events.ts';
import { ChatRequest, ChatResponse } from './schema.ts';

export type ChatOptions = PartitionOptions & {
  /** For requests that name none. */
  readonly model: string | undefined;
  /** Requests that want more chance than that are not cached. */
  readonly temperatureMax: number;
  readonly timeoutMs: number;
  /** Whether the client's own key goes on to the upstream. */
  readonly forwardsKey: boolean;
};

export type Input = {
  readonly body: ChatBody;
  /** As the client sent it, unless the model had to be filled in. */
  readonly bytes: Uint8Array;
  readonly cached: CachedQuestion | undefined;
  readonly streams: boolean;
};

export type Output =
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
  const run = async (input: Input, call: Call): Promise<Output> => {
    const authorization = options.forwardsKey ? call.header('authorization') : '';
    const { cached, bytes, streams } = input;
    if (!engine.hasUpstream && cached === undefined) throw new ServerError('UPSTREAM_ABSENT');
    const answered = await engine.answer({ cached, body: bytes, streams, includesUsage: includesUsage(input), authorization }, call);
    return outputOf(answered, streams);
  };
  // Over HTTP a stream is OpenAI's own, which `encode` makes.
  const streams: Streams<Input> = {
    wanted: () => false,
    isOpenEnded: true,
    async *events(input, call) {
      const output = await run(input, call);
      yield* chatEvents(output, input, headOf(output, input));
    },
  };
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
    decode: (bytes, call) => {
      const input = refusingDeepNesting(() => decode(bytes, call, options));
      if (input.streams) call.operation = { ...call.operation, streams };
      return input;
    },
    run,
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
  const question = chatQuestion(body, model, partitionParts(body, call, options));
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

/** What is told of an answer beside its text. */
function headOf(output: Output, input: Input): ReplyHead {
  const headers = cacheHeaders(output.answered, input.cached !== undefined);
  if (output.kind === 'completion') return { status: 200, headers };
  return { status: output.head.status, headers: { ...output.head.headers, ...headers } };
}

function encode(output: Output, input: Input): Reply {
  const { status, headers } = headOf(output, input);
  if (output.kind === 'completion' && !input.streams) return jsonReply(status, output.completion, headers);
  if (output.kind === 'whole') return { status, contentType: contentTypeOf(output), headers, body: output.bytes };
  const streamed = { status, headers: { ...headers, 'cache-control': 'no-cache' } };
  if (output.kind === 'stream') return { ...streamed, contentType: output.head.contentType, body: output.stream };
  return { ...streamed, contentType: eventStream, body: [...replayed(output.completion, includesUsage(input))].join('') };
}

/** Gateways call their own words JSON, which a message of a WebSocket would then be broken by. */
function contentTypeOf({ head: { contentType }, bytes }: Extract<Output, { kind: 'whole' }>): string {
  const claimed = contentType || jsonContentType;
  return claimed.startsWith(jsonContentType) && parsed(Buffer.from(bytes).toString()) === undefined ? 'text/plain; charset=utf-8' : claimed;
}
