// Element types of tensors: how each lies in memory, and which JSON values it takes.
// Invariant: a value that the type cannot hold is refused, never wrapped or rounded to another integer.
import { endianness } from 'node:os';
import assert from 'node:assert/strict';
import { float16Bits, float16Value } from './float16.ts';

assert(endianness() === 'LE', 'Raw tensors are taken from the wire as they lie in memory.');

/** The names of ONNX Runtime for JavaScript. */
export type DataType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'
  | 'string';

export type NumericData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** float16 as its bits in a Uint16Array, bool as 0 and 1 in a Uint8Array. */
export type TensorData = NumericData | string[];

/** Row-major; `data` has as many elements as the shape says. */
export type Tensor = {
  readonly datatype: DataType;
  readonly shape: readonly number[];
  readonly data: TensorData;
};

/** An element as its typed array holds it; undefined for what is none of the type. */
type ElementReader = (value: unknown) => number | bigint | string | undefined;

type Kind = {
  readonly array: (new (length: number) => NumericData) & { readonly BYTES_PER_ELEMENT: number };
  readonly read: ElementReader;
  /** What `read` takes, for an error: "must be …". */
  readonly rule: string;
};

const numericKinds: Readonly<Record<Exclude<DataType, 'string'>, Kind>> = {
  float32: { array: Float32Array, read: (value) => real(value, Math.fround), rule: 'a number within float32' },
  float64: { array: Float64Array, read: (value) => real(value, (exact) => exact), rule: 'a finite number' },
  float16: { array: Uint16Array, read: half, rule: 'a number within float16' },
  int8: integerKind(Int8Array, -128, 127),
  int16: integerKind(Int16Array, -32_768, 32_767),
  int32: integerKind(Int32Array, -(2 ** 31), 2 ** 31 - 1),
  uint8: integerKind(Uint8Array, 0, 255),
  uint16: integerKind(Uint16Array, 0, 65_535),
  uint32: integerKind(Uint32Array, 0, 2 ** 32 - 1),
  int64: bigKind(BigInt64Array, -(2n ** 63n), 2n ** 63n - 1n),
  uint64: bigKind(BigUint64Array, 0n, 2n ** 64n - 1n),
  bool: { array: Uint8Array, read: truth, rule: 'true or false' },
};

export const dataTypes: readonly DataType[] = [...(Object.keys(numericKinds) as DataType[]), 'string'];

export function isDataType(name: unknown): name is DataType {
  return (dataTypes as readonly unknown[]).includes(name);
}

export function newData(datatype: DataType, count: number): TensorData {
  return datatype === 'string' ? new Array<string>(count).fill('') : new numericKinds[datatype].array(count);
}

/** Bytes of one element; undefined for strings, which have no fixed size. */
export function elementBytes(datatype: DataType): number | undefined {
  return datatype === 'string' ? undefined : numericKinds[datatype].array.BYTES_PER_ELEMENT;
}

export function elementReader(datatype: DataType): ElementReader {
  if (datatype === 'string') return (value) => (typeof value === 'string' ? value : undefined);
  return numericKinds[datatype].read;
}

/** What an element must be: "an integer from -128 to 127". */
export function elementRule(datatype: DataType): string {
  return datatype === 'string' ? 'a string' : numericKinds[datatype].rule;
}

/**
 * A copy in memory of its own, so that it can be transferred; `bytes` may lie anywhere. The caller has checked
 * that their length is a multiple of the element's.
 */
export function dataOfBytes(datatype: Exclude<DataType, 'string'>, bytes: Uint8Array): NumericData {
  const { array } = numericKinds[datatype];
  const data = new array(bytes.length / array.BYTES_PER_ELEMENT);
  new Uint8Array(data.buffer).set(bytes);
  return data;
}

/** With data of its own: what is transferred to a worker is lost here. */
export function copyTensor(tensor: Tensor): Tensor {
  return { ...tensor, data: tensor.data.slice() };
}

/** Element `index` as a number; int64 loses digits beyond 2^53, strings are NaN. */
export function elementNumber({ datatype, data }: Tensor, index: number): number {
  const value = data[index];
  return datatype === 'float16' ? float16Value(value as number) : typeof value === 'string' ? NaN : Number(value);
}

function real(value: unknown, store: (value: number) => number): number | undefined {
  // 1e999 is JSON, and parses as Infinity.
  return typeof value === 'number' && Number.isFinite(store(value)) ? value : undefined;
}

function half(value: unknown): number | undefined {
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  const bits = float16Bits(value);
  return (bits & 0x7c00) === 0x7c00 ? undefined : bits;
}

function truth(value: unknown): number | undefined {
  return value === true || value === 1 ? 1 : value === false || value === 0 ? 0 : undefined;
}

function integerKind(array: Kind['array'], least: number, most: number): Kind {
  return {
    array,
    read: (value) =>
      Number.isInteger(value) && (value as number) >= least && (value as number) <= most
        ? (value as number)
        : undefined,
    rule: `an integer from ${least} to ${most}`,
  };
}

/** JSON.parse rounds integers beyond 2^53 without a word, so those must come as strings of digits. */
function bigKind(array: Kind['array'], least: bigint, most: bigint): Kind {
  return {
    array,
    read: (value) => {
      const digits = typeof value === 'string' && /^-?\d{1,20}$/.test(value);
      if (!digits && !Number.isSafeInteger(value)) return undefined;
      const exact = BigInt(value as string | number);
      return exact >= least && exact <= most ? exact : undefined;
    },
    rule: `an integer from ${least} to ${most}, beyond 2^53 as a string of digits`,
  };
}
