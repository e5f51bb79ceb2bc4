// One request's fields to the tensors that a model's table asks for.
// Invariant: what reaches a worker has the model's types and shapes and, but for strings, finite values in range.
import { ServerError } from '../errors.ts';
import type { TensorInput } from '../registry/tensor-manifest.ts';
import { copyTensor, dataOfBytes, elementBytes, elementNumber, elementRule, type Tensor, type TensorData } from '../tensor/dtypes.ts';
import { readFlat, readNested } from '../tensor/nested.ts';
import { checkShape, elementCount, elementPath, fitShape, shapeText, type BoundDimensions } from '../tensor/shapes.ts';
import { numbersOfBytes } from '../tensor/wire.ts';

/** Fields as the client gave them; null is as good as absent. */
export type Fields = Readonly<Record<string, unknown>>;

export function fieldOf(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined;
}

/** A yes or no among the fields. Throws REQUEST_INVALID for anything else. */
export function flagOf(fields: Fields, name: string, otherwise: boolean): boolean {
  const value = fieldOf(fields, name) ?? otherwise;
  if (typeof value === 'boolean') return value;
  throw new ServerError('REQUEST_INVALID', `'${name}' must be true or false.`, { field: name });
}

/**
 * The caller owns the tensors. Throws REQUEST_INVALID or INPUT_TOO_LONG naming the field at fault.
 * @param takesMemory whether a tensor may be a view of the raw bytes among the fields, each in a buffer of its own
 */
export function readInputs(table: readonly TensorInput[], fields: Fields, takesMemory = false): (readonly [string, Tensor])[] {
  const bound: BoundDimensions = new Map();
  return table.map((input) => {
    const value = fieldOf(fields, input.field);
    if (value !== undefined) return [input.name, givenTensor(input, value, bound, takesMemory)] as const;
    if (input.default !== undefined) return [input.name, copyTensor(input.default)] as const;
    throw new ServerError('REQUEST_INVALID', `'${input.field}' is missing.`, { field: input.field });
  });
}

function givenTensor(input: TensorInput, value: unknown, bound: BoundDimensions, takesMemory: boolean): Tensor {
  const { field } = input;
  const isPacked = typeof value === 'object' && value !== null && !Array.isArray(value);
  const tensor = isPacked ? packedTensor(input, value, takesMemory) : readNested(value, input.datatype, field);
  // An empty list where nothing is the default: nothing was given.
  if (tensor.data.length === 0 && input.default?.data.length === 0) return copyTensor(input.default);
  if (input.shape !== undefined) fitShape(input.shape, tensor.shape, field, bound);
  if (input.range !== undefined) checkRange(tensor, input.range, (i) => pathOf(tensor, i, field, isPacked));
  return tensor;
}

/** `{shape, data, datatype?}`: data is a flat list, base64 text, or bytes; row-major, little-endian. */
function packedTensor(input: TensorInput, value: object, takesMemory: boolean): Tensor {
  const { field, datatype } = input;
  const {
    shape: givenShape,
    data,
    datatype: givenType,
  } = value as { shape?: unknown; data?: unknown; datatype?: unknown };
  if (givenType !== undefined && givenType !== datatype) {
    throw invalid(`${field}.datatype`, `must be ${datatype}, which the model takes`);
  }
  const shape = givenShape === undefined ? fixedShape(input) : checkShape(givenShape, `${field}.shape`);
  if (shape === undefined) throw invalid(`${field}.shape`, 'is missing');
  if (Array.isArray(data)) return readFlat(data, shape, datatype, `${field}.data`);
  const size = elementBytes(datatype);
  const bytes =
    data instanceof Uint8Array ? data : typeof data === 'string' ? base64Bytes(data, `${field}.data`) : undefined;
  if (bytes === undefined || size === undefined || datatype === 'string') {
    throw invalid(`${field}.data`, size === undefined ? 'must be a list of strings' : 'must be a list or base64 text');
  }
  const count = elementCount(shape, field);
  if (bytes.length !== count * size) {
    throw invalid(
      `${field}.data`,
      `has ${bytes.length} bytes; ${datatype} of the shape ${shapeText(shape)} has ${count * size}`,
    );
  }
  // Decoded base64 may lie in memory that Node shares out.
  const isOurs = takesMemory && bytes === data;
  const tensor: Tensor = { datatype, shape, data: isOurs ? numbersOfBytes(bytes, datatype, count) : dataOfBytes(datatype, bytes) };
  checkRaw(tensor, `${field}.data`);
  return tensor;
}

/** The shape of an input that has no other; undefined when a size is free. */
function fixedShape({ shape }: TensorInput): readonly number[] | undefined {
  return shape?.every((size) => typeof size === 'number' && size >= 0) === true ? (shape as number[]) : undefined;
}

function base64Bytes(text: string, field: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  // It skips what is no base64, which would shift all that follows, and then gives fewer bytes than there should be.
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  if (text.length % 4 === 0 && bytes.length === (text.length / 4) * 3 - padding) return bytes;
  throw invalid(field, 'is not base64 with padding');
}

/** Raw memory can hold what no JSON number is. */
function checkRaw(tensor: Tensor, field: string): void {
  const { datatype, data } = tensor;
  if (datatype === 'bool') {
    const wrong = (data as Uint8Array).findIndex((value) => value > 1);
    if (wrong >= 0) throw invalid(`${field}[${wrong}]`, `must be ${elementRule(datatype)}: a byte of 1 or 0`);
  } else if (datatype.startsWith('float')) {
    if (isWithin(data, -float32Max, float32Max)) return;
    for (let i = 0; i < data.length; i++) {
      if (!Number.isFinite(elementNumber(tensor, i)))
        throw invalid(`${field}[${i}]`, `must be ${elementRule(datatype)}`);
    }
  }
}

const float32Max = 3.4028234663852886e38;

/** True only for float32, which images are made of and which is looked through twenty times as fast so. */
function isWithin(data: TensorData, least: number, most: number): boolean {
  if (!(data instanceof Float32Array)) return false;
  for (let i = 0; i < data.length; i++) {
    // NaN is not within anything.
    if (!(data[i]! >= least && data[i]! <= most)) return false;
  }
  return true;
}

/** Throws REQUEST_INVALID naming `path` of the first element outside, NaN included. */
export function checkRange(tensor: Tensor, range: readonly [number, number], path: (index: number) => string): void {
  const [least, most] = storedRange(tensor, range);
  if (isWithin(tensor.data, least, most)) return;
  for (let i = 0; i < tensor.data.length; i++) {
    const value = elementNumber(tensor, i);
    if (value >= least && value <= most) continue;
    throw invalid(path(i), `is ${value}; it must lie from ${range[0]} to ${range[1]}`);
  }
}

/** 0.1 as float32 is above 0.1, so a bound is compared as the tensor's type stores it. */
function storedRange({ datatype }: Tensor, range: readonly [number, number]): readonly [number, number] {
  if (datatype !== 'float32' && datatype !== 'float16') return range;
  const bounds = readFlat(range, [2], datatype, 'range');
  return [elementNumber(bounds, 0), elementNumber(bounds, 1)];
}

function pathOf(tensor: Tensor, index: number, field: string, isPacked: boolean): string {
  return isPacked ? `${field}.data[${index}]` : elementPath(field, tensor.shape, index);
}

function invalid(field: string, reason: string): ServerError {
  return new ServerError('REQUEST_INVALID', `'${field}' ${reason}.`, { field });
}
