// What must hold of a graph that was changed so that rows hold several texts: that the change took nothing else out, and
// that it keeps the texts apart. Both are run, since what a graph computes its operators' names do not tell.
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Replaced } from './packed-graph.ts';
import type { SessionOutput, TextRow } from './session.ts';

/** Rounding differs with the order of sums; a wrong mask or position is off by far more. */
const differenceMax = 1e-3;
const textLengths = [5, 2, 9];

/**
 * Whether the biases hide padding only, and positions count from 0: a bias may hold relative positions (T5), or hide what
 * is far off (ModernBERT) or comes later, and a table of positions may begin with unused rows (BART). Rejects with what
 * the runtime says.
 * @param tokens of the longest text, of which nothing is padding
 */
export async function replacesAlike({ model, biases, positions }: Replaced, tokens: number): Promise<boolean> {
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1, enableCpuMemArena: false, logSeverityLevel: 4 });
  try {
    const feeds = Object.fromEntries(session.inputMetadata.map((input) => [input.name, ones(input, tokens)]));
    const given = await session.run(feeds);
    const numbers = (name: string): readonly number[] | Float32Array => {
      const { data } = given[name]!;
      return data instanceof Float32Array ? data : Array.from(data as BigInt64Array, Number);
    };
    return biases.every((name) => numbers(name).every((value) => value === 0))
      && positions.map(numbers).every((counted) => counted.length === tokens && counted.every((value, i) => value === i));
  } finally {
    await session.release();
  }
}

function ones(input: InferenceSession.ValueMetadata, tokens: number): Tensor {
  const dims = [1, tokens];
  if (input.isTensor && input.type === 'int32') return new Tensor('int32', new Int32Array(tokens).fill(1), dims);
  return new Tensor('int64', new BigInt64Array(tokens).fill(1n), dims);
}

/** Whether texts that share a row, beside a row of another length, have the vectors that each has alone. Rejects with what the runtime says. */
export async function keepsTextsApart(run: (rows: readonly TextRow[]) => Promise<SessionOutput>): Promise<boolean> {
  // Ids that every vocabulary has, and all of them others.
  let id = 0;
  const texts = textLengths.map((length) => Int32Array.from({ length }, () => (id += 1)));
  const last = texts.at(-1)!;
  const together = await run([texts, [last]]);
  if (together.pooled) return false;
  let at = 0;
  // The last text is the first of the next row, too, which begins where the full one ends.
  for (const text of [...texts, last]) {
    const { vectors } = await run([[text]]);
    for (const value of vectors) if (!(Math.abs(value - together.vectors[at++]!) <= differenceMax)) return false;
  }
  return true;
}
