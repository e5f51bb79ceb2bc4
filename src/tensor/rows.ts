// Tensors of several requests as one, along the first dimension, and back.
import { newData, type NumericData, type Tensor, type TensorData } from './dtypes.ts';

/** One tensor of all rows, in memory of its own. All have one type and, but for the first, the same sizes. */
export function joinRows(tensors: readonly Tensor[]): Tensor {
  const { datatype, shape } = tensors[0]!;
  const rows = tensors.reduce((sum, tensor) => sum + tensor.shape[0]!, 0);
  const joined = { datatype, shape: [rows, ...shape.slice(1)] };
  if (datatype === 'string') return { ...joined, data: tensors.flatMap(({ data }) => data as string[]) };
  const data = newData(datatype, tensors.reduce((sum, tensor) => sum + tensor.data.length, 0)) as NumericData;
  let at = 0;
  for (const tensor of tensors) {
    // Of one type, which the compiler cannot see.
    (data as Float32Array).set(tensor.data as Float32Array, at);
    at += tensor.data.length;
  }
  return { ...joined, data };
}

/**
 * The parts of `rows` rows each, which add up to the tensor's first size. Numbers are views of the tensor's memory:
 * read, never written.
 */
export function splitRows({ datatype, shape, data }: Tensor, rows: readonly number[]): Tensor[] {
  const [total = 0, ...rest] = shape;
  const width = total === 0 ? 0 : data.length / total;
  let at = 0;
  return rows.map((count) => {
    const start = at * width;
    at += count;
    return { datatype, shape: [count, ...rest], data: part(data, start, at * width) };
  });
}

function part(data: TensorData, start: number, end: number): TensorData {
  return Array.isArray(data) ? data.slice(start, end) : (data.subarray(start, end) as NumericData);
}
