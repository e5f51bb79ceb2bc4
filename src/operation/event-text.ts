// A stream of events as an HTTP body: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
// or lines of JSON (https://github.com/ndjson/ndjson-spec).
import type { ServerError } from '../errors.ts';
import { eventHeartbeatMs } from '../limits.ts';
import type { Call, Reply } from '../operation.ts';
import type { EventStream, StreamEvent } from './events.ts';

export const sseContentType = 'text/event-stream';
export const ndjsonContentType = 'application/x-ndjson';

/** Whether the client's Accept header asks for events. */
export function acceptsEvents(call: Call): boolean {
  return acceptsMedia(call, sseContentType) || acceptsMedia(call, ndjsonContentType);
}

function acceptsMedia(call: Call, media: string): boolean {
  return call.header('accept').toLowerCase().split(/[,;]/).some((part) => part.trim() === media);
}

/** `errorText` gives the JSON of an error that comes after the first event, in the shape of its surface. */
export function eventReply(stream: EventStream, call: Call, errorText: (error: ServerError) => string): Reply {
  const lines = acceptsMedia(call, ndjsonContentType) && !acceptsMedia(call, sseContentType);
  return {
    status: 200,
    contentType: lines ? ndjsonContentType : `${sseContentType}; charset=utf-8`,
    // The second one tells nginx, which would collect the answer, to pass it on as it comes.
    headers: { 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
    body: { chunks: new EventText(stream, lines ? lineText : sseText, lines ? '\n' : ':\n\n', errorText) },
  };
}

type WriteEvent = (name: string, json: string | Uint8Array, data: readonly Uint8Array[] | undefined) => string | Buffer;

class EventText implements AsyncIterableIterator<string | Uint8Array> {
  readonly #stream: EventStream;
  readonly #write: WriteEvent;
  readonly #heartbeat: string;
  readonly #errorText: (error: ServerError) => string;
  /** The events that are waited for, over the heartbeats in between. */
  #pending: Promise<readonly StreamEvent[] | undefined> | undefined;
  #isOver = false;

  constructor(stream: EventStream, write: WriteEvent, heartbeat: string, errorText: (error: ServerError) => string) {
    this.#stream = stream;
    this.#write = write;
    this.#heartbeat = heartbeat;
    this.#errorText = errorText;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<string | Uint8Array>> {
    if (this.#isOver) return { done: true, value: undefined };
    let events: readonly StreamEvent[] | undefined;
    try {
      this.#pending ??= this.#stream.next();
      const found = await orAfter(this.#pending, eventHeartbeatMs);
      if (found === 'late') return { done: false, value: this.#heartbeat };
      this.#pending = undefined;
      events = found;
    } catch (error) {
      this.#isOver = true;
      return { done: false, value: this.#write('error', this.#errorText(error as ServerError), undefined) };
    }
    if (events === undefined) return { done: true, value: undefined };
    const parts = events.map(({ event, json, data }) => this.#write(event, json, data));
    return { done: false, value: parts.length === 1 ? parts[0]! : Buffer.concat(parts.map((part) => Buffer.from(part))) };
  }

  return(): Promise<IteratorResult<string | Uint8Array>> {
    this.#isOver = true;
    this.#pending?.catch(() => {});
    this.#stream.close();
    return Promise.resolve({ done: true, value: undefined });
  }
}

const sseText: WriteEvent = (name, json, data) => joined(`event: ${name}\ndata: `, withData(json, data), '\n\n');

const lineText: WriteEvent = (name, json, data) => joined('', withFirst(`"event":"${name}"`, withData(json, data)), '\n');

/** Text has no room for raw bytes, so they become one more field. */
function withData(json: string | Uint8Array, data: readonly Uint8Array[] | undefined): string | Uint8Array {
  return data === undefined ? json : withFirst(`"data":"${Buffer.concat(data).toString('base64')}"`, json);
}

/** A JSON object with a field before its own. */
export function withFirst(field: string, json: string | Uint8Array): string | Buffer {
  const comma = json.length > 2 ? ',' : '';
  return joined(`{${field}${comma}`, typeof json === 'string' ? json.slice(1) : json.subarray(1), '');
}

function joined(before: string, text: string | Uint8Array, after: string): string | Buffer {
  if (typeof text === 'string') return before + text + after;
  return Buffer.concat([Buffer.from(before), text, Buffer.from(after)]);
}

async function orAfter<Value>(promise: Promise<Value>, ms: number): Promise<Value | 'late'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, ms, 'late');
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
