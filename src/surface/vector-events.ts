// Vectors told one by one: each row as an item, then a summary.
import type { EmbedTotals } from '../engine/embed.ts';
import type { StreamedRow } from '../engine/row-stream.ts';
import type { Call } from '../operation.ts';
import type { StreamEvent } from '../operation/events.ts';
import { packRows } from '../tensor/vector-bytes.ts';
import { base64Vector, JsonBytes, type VectorFormat } from './vectors.ts';

/** What a surface adds to the fields that all have in common. */
export type RowShape = {
  readonly item: object;
  summary(totals: EmbedTotals): object;
};

const embeddingStart = ',"embedding":';

/** Rows that come together are told together. Closes `rows` when its reader leaves. */
export async function* rowEvents(
  rows: AsyncGenerator<readonly StreamedRow[], EmbedTotals>, format: VectorFormat, call: Call, shape: RowShape,
): AsyncGenerator<readonly StreamEvent[], void> {
  const start = JSON.stringify({ ...shape.item, index: 0 }).slice(0, -2);
  try {
    for (;;) {
      const step = await rows.next();
      if (step.done === true) {
        yield [{ event: 'summary', json: JSON.stringify(summary(step.value, call, shape)) }];
        return;
      }
      yield step.value.map((row) => rowEvent(row, format, start));
    }
  } finally {
    // Not awaited: what it waits for may end later than its reader leaves.
    rows.return(undefined as never).catch(() => {});
  }
}

function rowEvent({ index, row, tokensGiven, tokensKept }: StreamedRow, format: VectorFormat, start: string): StreamEvent {
  const cutTo = tokensGiven > tokensKept ? `,"truncated":{"tokens_given":${tokensGiven},"tokens_kept":${tokensKept}}` : '';
  const head = `${start}${index},"tokens":${tokensKept}${cutTo}`;
  if (format.encoding === 'bytes') {
    const data = packRows([row], format.type);
    const tensor = { name: 'embedding', datatype: format.type, shape: [row.length], offset: 0, bytes: data.byteLength };
    return { event: 'item', json: `${head},"tensors":[${JSON.stringify(tensor)}]}`, data: [data] };
  }
  if (format.encoding === 'base64') return { event: 'item', json: `${head}${embeddingStart}"${base64Vector(row, format.type)}"}` };
  const json = new JsonBytes(row.length, head.length + embeddingStart.length + 3);
  json.text(head);
  json.text(embeddingStart);
  json.floats(row);
  json.text('}');
  return { event: 'item', json: json.finish() };
}

function summary(totals: EmbedTotals, call: Call, shape: RowShape): object {
  const { dimension, count, truncated, queueMs, tokenizeMs, inferenceMs } = totals;
  return {
    ...shape.summary(totals),
    dimension,
    count,
    ...(truncated.length > 0 && {
      truncated: truncated.map(({ index, tokensGiven, tokensKept }) => ({ index, tokens_given: tokensGiven, tokens_kept: tokensKept })),
    }),
    timings: {
      queue_ms: rounded(queueMs),
      tokenize_ms: rounded(tokenizeMs),
      inference_ms: rounded(inferenceMs),
      total_ms: rounded(performance.now() - call.startedMs),
    },
  };
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
