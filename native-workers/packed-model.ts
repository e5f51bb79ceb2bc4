// A model file whose graph is changed at load so that rows hold several texts.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { MessageChannel } from 'node:worker_threads';
import { packedFileBytesMax } from '../src/limits.ts';
import { packGraph, type Replaced } from './packed-graph.ts';

/** What models/pack.py calls a dimension of the inputs. */
export const packedDimension = 'packed_sequence_length';
/** Inputs stand behind the weights: the end of a file has them. */
const tailBytes = 64 * 1024;
/** What is written after the file takes less. */
const addedBytesMax = 64 * 1024;

export type PackedModel = { readonly bytes: Uint8Array; readonly replaced: Replaced };

/** The whole changed model, owned by the caller; undefined where the file is to be opened as it is. Throws what the file system says. */
export function packedModel(onnxFile: string): PackedModel | undefined {
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
    const packed = packGraph(bytes.subarray(0, size));
    if (packed === undefined || packed.added.length > addedBytesMax) return undefined;
    bytes.set(packed.added, size);
    return { bytes: bytes.subarray(0, size + packed.added.length), replaced: packed.replaced };
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
