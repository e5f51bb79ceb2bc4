// Tensors as JSON: nested lists to flat data with every element checked, and flat data to JSON text.
import { ServerError } from '../errors.ts';
import { tensorRankMax } from '../limits.ts';
import { elementReader, elementRule, newData, type DataType, type Tensor, type TensorData } from './dtypes.ts';
import { floatTextBytesMax, writeFloats } from './float-text.ts';
import { float16Value } from './float16.ts';
import { elementCount, shapeText } from './shapes.ts';

/**
 * Nested lists, or a single value for a tensor of rank 0. Throws REQUEST_INVALID or INPUT_TOO_LONG, naming
 * the list or element at fault: `image[3][2]`. The data is the caller's.
 */
export function readNested(value: unknown, datatype: DataType, field: string): Tensor {
  const shape = shapeOfFirst(value, field);
  const data = newData(datatype, elementCount(shape, field));
  if (data.length > 0 || shape.length > 1) new Filler(shape, datatype, data, field).fill(value, 0);
  return { datatype, shape, data };
}

/** A list of elements whose shape is told beside it. Throws as `readNested` does. */
export function readFlat(
  values: readonly unknown[],
  shape: readonly number[],
  datatype: DataType,
  field: string,
): Tensor {
  const count = elementCount(shape, field);
  if (values.length !== count) {
    const detail = `'${field}' has ${values.length} values; its shape ${shapeText(shape)} asks for ${count}.`;
    throw new ServerError('REQUEST_INVALID', detail, { field });
  }
  const data = newData(datatype, count);
  if (count > 0) new Filler([count], datatype, data, field).fill(values, 0);
  return { datatype, shape, data };
}

/** The sizes of the first list at each depth; all others must have the same. */
function shapeOfFirst(value: unknown, field: string): number[] {
  const shape: number[] = [];
  for (let inner = value; Array.isArray(inner); inner = inner[0]) {
    shape.push(inner.length);
    if (shape.length > tensorRankMax) {
      throw new ServerError('REQUEST_INVALID', `'${field}' is nested more than ${tensorRankMax} deep.`, { field });
    }
  }
  return shape;
}

class Filler {
  readonly #shape: readonly number[];
  readonly #data: TensorData;
  readonly #datatype: DataType;
  readonly #read: ReturnType<typeof elementReader>;
  readonly #field: string;
  /** Where `fill` is: an index for each depth. */
  readonly #path: number[];
  #next = 0;

  constructor(shape: readonly number[], datatype: DataType, data: TensorData, field: string) {
    this.#shape = shape;
    this.#data = data;
    this.#datatype = datatype;
    this.#read = elementReader(datatype);
    this.#field = field;
    this.#path = shape.map(() => 0);
  }

  fill(value: unknown, depth: number): void {
    const size = this.#shape[depth];
    if (size === undefined) return this.#element(value, depth);
    if (!Array.isArray(value)) this.#fail(depth, `must be a list of ${size} like its neighbours`);
    if (value.length !== size) this.#fail(depth, `has ${value.length} items and its neighbours have ${size}`);
    if (depth === this.#shape.length - 1 && this.#data instanceof Float32Array && this.#floats(value, this.#data)) return;
    for (let i = 0; i < size; i++) {
      this.#path[depth] = i;
      this.fill(value[i], depth + 1);
    }
  }

  /** A row of float32, which images and sound are made of; false when one is none, which the slow way then names. */
  #floats(row: readonly unknown[], data: Float32Array): boolean {
    for (let i = 0; i < row.length; i++) {
      const value = row[i];
      if (typeof value !== 'number') return false;
      data[this.#next + i] = value;
      if (!Number.isFinite(data[this.#next + i])) return false;
    }
    this.#next += row.length;
    return true;
  }

  #element(value: unknown, depth: number): void {
    const element = this.#read(value);
    if (element === undefined) {
      const given = Array.isArray(value) ? ', not a list' : '';
      this.#fail(depth, `must be ${elementRule(this.#datatype)}${given}`);
    }
    // The reader gives what this type's array holds.
    (this.#data as unknown[])[this.#next++] = element;
  }

  #fail(depth: number, reason: string): never {
    const field =
      this.#field +
      this.#path
        .slice(0, depth)
        .map((index) => `[${index}]`)
        .join('');
    throw new ServerError('REQUEST_INVALID', `'${field}' ${reason}.`, { field });
  }
}

/**
 * The tensor as JSON bytes, nested by its shape. float32 is written in the fewest digits that read back the
 * same, int64 with all its digits; `null` stands for NaN and infinities, for which JSON has no form.
 */
export function writeNested(tensor: Tensor): Uint8Array {
  const { shape, data } = tensor;
  const width = shape.at(-1) ?? 1;
  const rows = width === 0 ? 0 : data.length / width;
  const writer = rowWriter(tensor, width, rows * shape.length);
  writeLists(shape, writer, { next: 0 });
  return writer.finish();
}

type RowWriter = { text(text: string): void; row(index: number): void; finish(): Uint8Array };

function writeLists(shape: readonly number[], writer: RowWriter, at: { next: number }, depth = 0): void {
  if (shape.length === 0) return writer.row(0);
  writer.text('[');
  if (depth === shape.length - 1) {
    if (shape[depth]! > 0) writer.row(at.next++);
  } else {
    for (let i = 0; i < shape[depth]!; i++) {
      if (i > 0) writer.text(',');
      writeLists(shape, writer, at, depth + 1);
    }
  }
  writer.text(']');
}

function rowWriter(tensor: Tensor, width: number, rowMarks: number): RowWriter {
  const { datatype, data } = tensor;
  if (datatype === 'float32') return new FloatRows(data as Float32Array, width, rowMarks, tensor.shape);
  if (datatype === 'float16') {
    // Every float16 is a float32.
    const values = Float32Array.from(data as Uint16Array, float16Value);
    return new FloatRows(values, width, rowMarks, tensor.shape);
  }
  const parts: string[] = [];
  const text = elementText(datatype);
  return {
    text: (piece) => void parts.push(piece),
    row: (index) => {
      const values: string[] = [];
      for (let i = index * width; i < (index + 1) * width; i++) values.push(text(data[i]!));
      parts.push(values.join(','));
    },
    finish: () => Buffer.from(parts.join('')),
  };
}

function elementText(datatype: DataType): (value: number | bigint | string) => string {
  if (datatype === 'string') return JSON.stringify;
  if (datatype === 'bool') return (value) => (value === 0 ? 'false' : 'true');
  // String(-0) is '0'.
  if (datatype === 'float64') return (value) => (!Number.isFinite(value) ? 'null' : Object.is(value, -0) ? '-0.0' : String(value));
  // A bigint's text has all its digits.
  return String;
}

/** Rows of float32 written into one buffer, so that an image never becomes a JavaScript string. */
class FloatRows implements RowWriter {
  readonly #values: Float32Array;
  readonly #width: number;
  readonly #bytes: Buffer;
  #length = 0;

  constructor(values: Float32Array, width: number, rowMarks: number, shape: readonly number[]) {
    this.#values = values;
    this.#width = width;
    // Each list costs two brackets and a comma; lists of nothing still have theirs.
    const marks = 3 * (rowMarks + listsOfNothing(shape) + shape.length + 1);
    this.#bytes = Buffer.allocUnsafeSlow(floatTextBytesMax(values.length) + marks);
  }

  text(text: string): void {
    this.#bytes[this.#length++] = text.charCodeAt(0);
  }

  row(index: number): void {
    const row = this.#values.subarray(index * this.#width, (index + 1) * this.#width);
    if (row.every(Number.isFinite)) {
      this.#length = writeFloats(this.#bytes, this.#length, row);
      return;
    }
    row.forEach((value, i) => {
      if (i > 0) this.text(',');
      if (Number.isFinite(value)) this.#length = writeFloats(this.#bytes, this.#length, row.subarray(i, i + 1));
      else this.#length += this.#bytes.write('null', this.#length);
    });
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Of [2, 0] there are two empty lists; of what holds elements, none. */
function listsOfNothing(shape: readonly number[]): number {
  const first = shape.indexOf(0);
  return first < 0 ? 0 : 2 * shape.slice(0, first).reduce((product, size) => product * size, 1);
}
