// Tensors as the open inference protocol (KServe v2) sends them: its names of the element types, and its bytes.
// Numbers lie row-major and little-endian, BOOL as a byte of 0 or 1, BYTES as elements each after its 32-bit length.
// Invariant: what is aligned is read where it lies; only the rest is copied.
import { isUtf8 } from 'node:buffer';
import { ServerError } from '../errors.ts';
import { elementBytes, newData, type DataType, type NumericData, type Tensor } from './dtypes.ts';
import { elementCount, shapeText } from './shapes.ts';

const wireNames = {
  float32: 'FP32', float64: 'FP64', float16: 'FP16', int8: 'INT8', int16: 'INT16', int32: 'INT32', int64: 'INT64',
  uint8: 'UINT8', uint16: 'UINT16', uint32: 'UINT32', uint64: 'UINT64', bool: 'BOOL', string: 'BYTES',
} as const satisfies Record<DataType, string>;

export type WireType = (typeof wireNames)[DataType];

const dataTypes = new Map<unknown, DataType>(Object.entries(wireNames).map(([type, name]) => [name, type as DataType]));

/** The widest element: what begins at a multiple of this can be read where it lies. */
export const tensorAlignmentBytes = 8;

const lengthBytes = 4;

/** `FP32` of float32. */
export function wireType(datatype: DataType): WireType {
  return wireNames[datatype];
}

/** Throws REQUEST_INVALID naming `field` for what is none. */
export function dataTypeOf(name: unknown, field: string): DataType {
  const datatype = dataTypes.get(name);
  if (datatype !== undefined) return datatype;
  // ONNX Runtime for Node has no such tensors, so no model here can take one.
  const reason = name === 'BF16' ? 'is BF16, which no model of this server takes' : `must be one of ${[...dataTypes.keys()].join(', ')}`;
  throw new ServerError('REQUEST_INVALID', `'${field}' ${reason}.`, { field });
}

/**
 * The tensor of raw bytes. Where they are aligned for their type the tensor is a view of them: then nobody else may
 * keep them. Throws REQUEST_INVALID or INPUT_TOO_LONG naming `field`.
 */
export function tensorOfBytes(bytes: Uint8Array, shape: readonly number[], datatype: DataType, field: string): Tensor {
  const count = elementCount(shape, field);
  if (datatype === 'string') return { datatype, shape, data: stringsOfBytes(bytes, count, field) };
  const size = elementBytes(datatype)!;
  if (bytes.byteLength !== count * size) {
    const detail = `'${field}' has ${bytes.byteLength} bytes; ${wireNames[datatype]} of the shape ${shapeText(shape)} has ${count * size}.`;
    throw new ServerError('REQUEST_INVALID', detail, { field });
  }
  const data = numbersOfBytes(bytes, datatype, count);
  if (datatype === 'bool') checkBooleans(data as Uint8Array, field);
  return { datatype, shape, data };
}

/** A view where the bytes are aligned for the type, else a copy. */
export function numbersOfBytes(bytes: Uint8Array, datatype: Exclude<DataType, 'string'>, count: number): NumericData {
  const size = elementBytes(datatype)!;
  const none = newData(datatype, 0) as NumericData;
  const View = none.constructor as new (buffer: ArrayBufferLike, byteOffset: number, length: number) => NumericData;
  if (bytes.byteOffset % size === 0) return new View(bytes.buffer, bytes.byteOffset, count);
  const copy = new Uint8Array(bytes);
  return new View(copy.buffer, 0, count);
}

function checkBooleans(data: Uint8Array, field: string): void {
  const wrong = data.findIndex((value) => value > 1);
  if (wrong < 0) return;
  throw new ServerError('REQUEST_INVALID', `'${field}' has a BOOL at ${wrong} that is neither 0 nor 1.`, { field });
}

/** BYTES elements. ONNX Runtime keeps strings as text, so each must be UTF-8. */
function stringsOfBytes(bytes: Uint8Array, count: number, field: string): string[] {
  const refuse = (reason: string): never => {
    throw new ServerError('REQUEST_INVALID', `'${field}' ${reason}.`, { field });
  };
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts: string[] = [];
  let at = 0;
  while (at < buffer.length) {
    if (texts.length === count) refuse(`has more than the ${count} elements of its shape`);
    if (at + lengthBytes > buffer.length) refuse(`ends inside the length of element ${texts.length}`);
    const length = buffer.readUInt32LE(at);
    at += lengthBytes;
    if (length > buffer.length - at) refuse(`has an element ${texts.length} of ${length} bytes, and ${buffer.length - at} are left`);
    texts.push(textOfBytes(buffer.subarray(at, at + length), `${field}[${texts.length}]`));
    at += length;
  }
  if (texts.length < count) refuse(`has ${texts.length} elements; its shape asks for ${count}`);
  return texts;
}

/** One BYTES element. Throws REQUEST_INVALID naming `field` for what is no UTF-8. */
export function textOfBytes(bytes: Uint8Array, field: string): string {
  if (!isUtf8(bytes)) throw new ServerError('REQUEST_INVALID', `'${field}' is not UTF-8 text.`, { field });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** The tensor's raw bytes: its own memory for numbers, made anew for BYTES. */
export function bytesOfTensor({ data }: Tensor): Uint8Array {
  if (!Array.isArray(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const total = data.reduce((sum, text) => sum + lengthBytes + Buffer.byteLength(text), 0);
  const bytes = Buffer.allocUnsafeSlow(total);
  let at = 0;
  for (const text of data) {
    const length = bytes.write(text, at + lengthBytes);
    bytes.writeUInt32LE(length, at);
    at += lengthBytes + length;
  }
  return bytes;
}

/** Copies of `parts` in one ArrayBuffer, each where any type can be read: for bytes that lie in foreign memory. */
export function alignedCopies(parts: readonly Uint8Array[]): Uint8Array[] {
  const aligned = (length: number): number => Math.ceil(length / tensorAlignmentBytes) * tensorAlignmentBytes;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + aligned(part.byteLength), 0));
  let at = 0;
  return parts.map((part) => {
    const copy = whole.subarray(at, at + part.byteLength);
    copy.set(part);
    at += aligned(part.byteLength);
    return copy;
  });
}
