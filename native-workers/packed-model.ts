// A model file whose graph is changed at load so that rows hold several texts, and the proof that it keeps them apart.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { MessageChannel } from 'node:worker_threads';
import { packedFileBytesMax } from '../src/limits.ts';
import { packGraph } from './packed-graph.ts';
import type { SessionOutput, TextRow } from './session.ts';

/** What models/pack.py calls a dimension of the inputs. */
export const packedDimension = 'packed_sequence_length';
/** Inputs stand behind the weights: the end of a file has them. */
const tailBytes = 64 * 1024;
/** What is written after the file takes less. */
const addedBytesMax = 64 * 1024;

/** Rounding differs with the order of sums; a wrong mask or position is off by far more. */
const differenceMax = 1e-3;
const textLengths = [5, 2, 9];

/** The whole changed model, owned by the caller; undefined where the file is to be opened as it is. Throws what the file system says. */
export function packedModel(onnxFile: string): Uint8Array | undefined {
  const descriptor = openSync(onnxFile, 'r');
  try {
    const { size } = fstatSync(descriptor);
    if (size > packedFileBytesMax) return undefined;
    const tail = Buffer.alloc(Math.min(size, tailBytes));
    readSync(descriptor, tail, 0, tail.length, size - tail.length);
    if (tail.includes(packedDimension)) return undefined;
    const bytes = Buffer.allocUnsafeSlow(size + addedBytesMax);
    for (let at = 0; at < size; ) {
      const count = readSync(descriptor, bytes, at, size - at, at);
      if (count === 0) return undefined;
      at += count;
    }
    const added = packGraph(bytes.subarray(0, size));
    if (added === undefined || added.length > addedBytesMax) return undefined;
    bytes.set(added, size);
    return bytes.subarray(0, size + added.length);
  } finally {
    closeSync(descriptor);
  }
}

/** Gives the memory back at once, by sending it to nobody: a worker that waits for work collects no garbage. */
export function freeModel({ buffer }: Uint8Array): void {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(undefined, [buffer as ArrayBuffer]);
  port2.close();
}

/** Whether three texts in one row have the vectors that each has alone. Rejects with what the runtime says. */
export async function keepsTextsApart(run: (rows: readonly TextRow[]) => Promise<SessionOutput>): Promise<boolean> {
  // Ids that every vocabulary has, and all of them others.
  let id = 0;
  const texts = textLengths.map((length) => Int32Array.from({ length }, () => (id += 1)));
  const together = await run([texts]);
  if (together.pooled) return false;
  let at = 0;
  for (const text of texts) {
    const { vectors } = await run([[text]]);
    for (const value of vectors) if (!(Math.abs(value - together.vectors[at++]!) <= differenceMax)) return false;
  }
  return true;
}
