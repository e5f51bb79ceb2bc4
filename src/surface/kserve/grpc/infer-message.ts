// ModelInferRequest to what the models take, and their answers to ModelInferResponse.
// Invariant: raw tensors lie in memory of their own, since the message's belongs to the connection.
import type { NamedTensor } from '../../../engine/infer-tensors.ts';
import { ServerError } from '../../../errors.ts';
import type { DataType, Tensor } from '../../../tensor/dtypes.ts';
import { readFlat } from '../../../tensor/nested.ts';
import { checkShape, elementCount, shapeText } from '../../../tensor/shapes.ts';
import { alignedCopies, bytesOfTensor, dataTypeOf, tensorOfBytes, textOfBytes, wireType } from '../../../tensor/wire.ts';
import type { InferAnswer, InferRequest } from '../model.ts';

type Parameter = { readonly bool_param?: boolean; readonly int64_param?: string; readonly uint64_param?: string; readonly string_param?: string; readonly double_param?: number };
type Parameters = Readonly<Record<string, Parameter>>;
type Contents = Readonly<Record<string, readonly unknown[]>>;
type Input = { readonly name: string; readonly datatype: string; readonly shape: readonly string[]; readonly parameters: Parameters; readonly contents: Contents | null };
type Output = { readonly name: string; readonly parameters: Parameters };

/** As proto-loader gives it. */
export type InferMessage = {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly inputs: readonly Input[];
  readonly outputs: readonly Output[];
  readonly raw_input_contents: readonly Uint8Array[];
};

/** Throws REQUEST_INVALID or INPUT_TOO_LONG naming the field. */
export function readInferMessage(message: InferMessage): InferRequest {
  const { inputs, outputs, raw_input_contents: raw } = message;
  inputs.forEach(({ parameters }, i) => refuseElsewhere(parameters, `inputs[${i}]`));
  outputs.forEach(({ parameters }, i) => refuseElsewhere(parameters, `outputs[${i}]`));
  if (raw.length > 0 && raw.length !== inputs.length) {
    throw invalid('raw_input_contents', `has ${raw.length} entries for ${inputs.length} inputs; it needs one for each or none at all`);
  }
  const own = alignedCopies(raw);
  return {
    id: message.id,
    inputs: inputs.map((input, i): NamedTensor => {
      const field = `inputs[${i}]`;
      const datatype = dataTypeOf(input.datatype, `${field}.datatype`);
      const shape = checkShape(input.shape.map(Number), `${field}.shape`);
      if (raw.length === 0) return { name: input.name, tensor: tensorOfContents(input.contents ?? {}, shape, datatype, field) };
      if (input.contents !== null) throw invalid(`${field}.contents`, 'must be empty where raw_input_contents are given');
      return { name: input.name, tensor: tensorOfBytes(own[i]!, shape, datatype, field) };
    }),
    outputs: outputs.length === 0 ? undefined : outputs.map(({ name }) => name),
    parameters: Object.fromEntries(Object.entries(message.parameters).map(([name, value]) => [name, parameterValue(value)])),
  };
}

const contentsOf: Readonly<Record<DataType, string | undefined>> = {
  bool: 'bool_contents', int8: 'int_contents', int16: 'int_contents', int32: 'int_contents', int64: 'int64_contents',
  uint8: 'uint_contents', uint16: 'uint_contents', uint32: 'uint_contents', uint64: 'uint64_contents',
  float32: 'fp32_contents', float64: 'fp64_contents', string: 'bytes_contents', float16: undefined,
};

function tensorOfContents(contents: Contents, shape: readonly number[], datatype: DataType, field: string): Tensor {
  const name = contentsOf[datatype];
  if (name === undefined) throw invalid(`${field}.contents`, `cannot hold ${wireType(datatype)}: use raw_input_contents`);
  const other = Object.keys(contents).find((each) => each !== name && contents[each]!.length > 0);
  if (other !== undefined) throw invalid(`${field}.contents.${other}`, `is not where ${wireType(datatype)} belongs: ${name} is`);
  const values = contents[name] ?? [];
  const path = `${field}.contents.${name}`;
  if (datatype === 'string') {
    const texts = values.map((bytes, i) => textOfBytes(bytes as Uint8Array, `${path}[${i}]`));
    return readFlat(texts, shape, datatype, path);
  }
  // Unlike JSON, these lists can hold NaN and infinities.
  if (datatype === 'float32') return numbers(Float32Array.from(values as number[]), shape, datatype, path);
  if (datatype === 'float64') return numbers(Float64Array.from(values as number[]), shape, datatype, path);
  return readFlat(values, shape, datatype, path);
}

function numbers(data: Float32Array | Float64Array, shape: readonly number[], datatype: DataType, field: string): Tensor {
  const count = elementCount(shape, field);
  if (data.length !== count) throw invalid(field, `has ${data.length} values; its shape ${shapeText(shape)} asks for ${count}`);
  return { datatype, shape, data };
}

/** Always raw, as Triton answers: clients expect it whatever they sent. */
export function inferMessage({ model, version, id, outputs }: InferAnswer): object {
  return {
    model_name: model,
    model_version: version,
    id,
    outputs: outputs.map(({ name, tensor }) => ({ name, datatype: wireType(tensor.datatype), shape: tensor.shape })),
    raw_output_contents: outputs.map(({ tensor }) => bytesOfTensor(tensor)),
  };
}

function parameterValue({ bool_param: flag, int64_param: signed, uint64_param: unsigned, double_param: real, string_param: text }: Parameter): unknown {
  const integer = signed ?? unsigned;
  return integer === undefined ? (flag ?? text ?? real) : Number(integer);
}

function refuseElsewhere(parameters: Parameters, field: string): void {
  for (const name of ['shared_memory_region', 'classification']) {
    if (Object.hasOwn(parameters, name)) throw invalid(`${field}.parameters.${name}`, 'is not supported by this server');
  }
}

function invalid(field: string, reason: string): ServerError {
  return new ServerError('REQUEST_INVALID', `'${field}' ${reason}.`, { field });
}
