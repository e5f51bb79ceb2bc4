// Where the parts of an answer come from: an operation that tells them one by one, or an answer in one piece.
import { ServerError } from '../errors.ts';
import { isStream, openEvents, perform, refuse } from '../operation.ts';
import type { AnyOperation, Call, CallObserver, Reply } from '../operation.ts';
import { refusingDeepNesting } from '../operation/json-text.ts';
import { bodyWithData, type ClientMessage, type Part } from './websocket-message.ts';
import type { PartSource } from './websocket-request.ts';

const noBytes = new Uint8Array(0);

/** Runs `operation` on the message's body. Throws ServerError when that cannot begin; the observer has heard of it. */
export function openSource(operation: AnyOperation, message: ClientMessage, call: Call, observer: CallObserver): PartSource {
  let input: unknown;
  try {
    input = decode(operation, message, call);
    const { streams } = call.operation;
    if (streams !== undefined) return openEventSource(input, call, observer);
  } catch (thrown) {
    throw refuse(call, thrown, observer).error;
  }
  const decoded = { ...operation, decode: () => input };
  const parts = wholeParts(() => perform(decoded, noBytes, call, observer));
  return {
    next: async () => {
      const step = await parts.next();
      return step.done === true ? undefined : step.value;
    },
    close: () => {
      call.cancel();
      parts.return().catch(() => {});
    },
  };
}

function decode(operation: AnyOperation, message: ClientMessage, call: Call): unknown {
  const body = bodyWithData(message);
  if (operation.decodeBody !== undefined) {
    if (body === undefined) throw new ServerError('REQUEST_INVALID', "'body' is missing.", { field: 'body' });
    return operation.decodeBody(body, call);
  }
  return operation.decode(body === undefined ? noBytes : Buffer.from(refusingDeepNesting(() => JSON.stringify(body))), call);
}

function openEventSource(input: unknown, call: Call, observer: CallObserver): PartSource {
  const stream = openEvents(input, call, observer);
  return {
    next: async () => {
      const events = await stream.next();
      return events?.map(({ event, json, data }): Part => ({ type: event, json, ...(data && { data }) }));
    },
    close: () => stream.close(),
  };
}

type Performed = ReturnType<typeof perform>;

async function* wholeParts(run: () => Performed): AsyncGenerator<readonly Part[], void> {
  const { reply, error } = await run();
  if (error !== undefined) throw error;
  if (isStream(reply.body)) yield* chunkParts(reply, reply.body.chunks);
  else yield [resultPart(reply, reply.body)];
}

/** An answer that is made while it is sent, in the pieces it is made in. */
async function* chunkParts({ status, contentType }: Reply, chunks: AsyncIterable<string | Uint8Array>): AsyncGenerator<readonly Part[], void> {
  const isText = /^(text\/|application\/(json|x-ndjson))/.test(contentType);
  const decoder = new TextDecoder();
  for await (const chunk of chunks) {
    if (!isText) yield [{ type: 'chunk', json: '{}', data: [Buffer.from(chunk)] }];
    else yield [{ type: 'chunk', json: JSON.stringify({ text: typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }) }) }];
  }
  yield [{ type: 'summary', json: JSON.stringify({ status, content_type: contentType }) }];
}

function resultPart({ status, contentType, headers }: Reply, body: string | Uint8Array): Part {
  const head = { status, content_type: contentType, ...(headers && { headers }) };
  if (contentType.startsWith('application/json') && body.length > 0) {
    const start = `${JSON.stringify({ status }).slice(0, -1)},"body":`;
    return { type: 'result', json: Buffer.concat([Buffer.from(start), Buffer.from(body), Buffer.from('}')]) };
  }
  if (contentType.startsWith('text/')) return { type: 'result', json: JSON.stringify({ ...head, text: Buffer.from(body).toString() }) };
  if (body.length === 0) return { type: 'result', json: JSON.stringify(head) };
  return { type: 'result', json: JSON.stringify(head), data: [Buffer.from(body)] };
}
