// An ONNX model's bytes as its messages: what is read of them here, and how new ones are written. Protobuf, by the
// numbers of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
import { NotProtobuf } from '../src/backend/protobuf-file.ts';

/** Fields by number, those of one message together. */
export const model = { graph: 7, opset: 8 } as const;
export const opset = { domain: 1, version: 2 } as const;
export const graph = { node: 1, name: 2, initializer: 5, input: 11, output: 12, valueInfo: 13 } as const;
export const node = { input: 1, output: 2, opType: 4, attribute: 5 } as const;
export const attribute = { name: 1, integer: 3, tensor: 5, integers: 8, type: 20 } as const;
export const tensor = { dims: 1, dataType: 2, name: 8, raw: 9, external: 13 } as const;
export const valueName = 1;
export const dataType = { float: 1, int64: 7, float16: 10, bfloat16: 16 } as const;
export const attributeType = { integer: 2, integers: 7 } as const;

/** One field of a message: a number, or the bytes [start, end). */
export type Part = { readonly number: number; readonly tagAt: number; readonly value: number; readonly start: number; readonly end: number };

/** Throws NotProtobuf. */
export function* parts(bytes: Uint8Array, start: number, end: number): Generator<Part> {
  const cursor = { at: start };
  while (cursor.at < end) {
    const tagAt = cursor.at;
    const tag = varint(bytes, cursor);
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    const value = wireType === 0 || wireType === 2 ? varint(bytes, cursor) : 0;
    const from = cursor.at;
    if (wireType === 2) cursor.at += value;
    else if (wireType === 1) cursor.at += 8;
    else if (wireType === 5) cursor.at += 4;
    else if (wireType !== 0) throw new NotProtobuf();
    if (cursor.at > end) throw new NotProtobuf();
    yield { number, tagAt, value, start: from, end: cursor.at };
  }
}

function varint(bytes: Uint8Array, cursor: { at: number }): number {
  let value = 0;
  for (let scale = 1, i = 0; i < 10; i++, scale *= 128) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) throw new NotProtobuf();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw new NotProtobuf();
}

export function textOf(bytes: Uint8Array, { start, end }: Part): string {
  return Buffer.prototype.utf8Slice.call(bytes, start, end);
}

/** A field that is a number, from 0. */
export function numberField(number: number, value: number): Buffer {
  return Buffer.concat([varintBytes(number * 8), varintBytes(value)]);
}

/** A field that is a text or a message. */
export function bytesField(number: number, value: string | readonly Uint8Array[]): Buffer {
  const content = typeof value === 'string' ? Buffer.from(value) : Buffer.concat(value);
  return Buffer.concat([varintBytes(number * 8 + 2), varintBytes(content.length), content]);
}

function varintBytes(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}
