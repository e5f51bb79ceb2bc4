// A streamed chat where the transport has messages: each chunk of OpenAI's stream as an item, then what HTTP would
// have said in its head.
import { ServerError } from '../../errors.ts';
import type { StreamEvent } from '../../operation/events.ts';
import { chunksOf, endOfStream } from '../../upstream/completion.ts';
import { EventReader } from '../../upstream/server-sent-events.ts';
import type { Input, Output } from './operations.ts';

export type ReplyHead = { readonly status: number; readonly headers: Readonly<Record<string, string>> };

export function includesUsage({ body, streams }: Input): boolean {
  return streams && body.stream_options?.include_usage === true;
}

/** Leaves the upstream when it is returned. Throws UPSTREAM_FAILED for what is no stream of JSON. */
export async function* chatEvents(output: Output, input: Input, head: ReplyHead): AsyncGenerator<readonly StreamEvent[]> {
  let count = 0;
  const items = (chunks: readonly string[]): StreamEvent[] => {
    return chunks.map((json) => ({ event: 'item', json: `{"index":${count++},"body":${checkedJson(json)}}` }));
  };
  if (output.kind === 'completion') yield items([...chunksOf(output.completion, includesUsage(input))]);
  if (output.kind === 'stream') {
    const reader = new EventReader();
    for await (const bytes of output.stream.chunks) {
      const chunks = reader.push(Buffer.from(bytes)).filter((data) => data !== endOfStream);
      if (chunks.length > 0) yield items(chunks);
    }
  }
  // An upstream that refuses, or does not stream, answers in one piece.
  const body = output.kind === 'whole' ? { body: parsed(Buffer.from(output.bytes).toString()) } : {};
  yield [{ event: 'summary', json: JSON.stringify({ ...head, count, ...body }) }];
}

function checkedJson(text: string): string {
  if (parsed(text) !== undefined) return text;
  throw new ServerError('UPSTREAM_FAILED', 'The upstream server sent a chunk that is no JSON.');
}

/** Undefined for what is no JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
