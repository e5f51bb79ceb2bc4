// The body of an HTTP inference request: a JSON header, and after it the tensors that it announces as binary.
// Invariants: every byte of the body belongs to the header or to exactly one tensor; an integer is never rounded.
import Type, { type Static } from 'typebox';
import type { NamedTensor } from '../../engine/infer-tensors.ts';
import { ServerError } from '../../errors.ts';
import { tensorRankMax } from '../../limits.ts';
import type { Call } from '../../operation.ts';
import type { Tensor } from '../../tensor/dtypes.ts';
import { readFlat } from '../../tensor/nested.ts';
import { checkShape } from '../../tensor/shapes.ts';
import { dataTypeOf, tensorAlignmentBytes, tensorOfBytes } from '../../tensor/wire.ts';
import { bodyChecker, parseJson } from '../body.ts';
import { exactIntegers, hasLongIntegers } from './exact-integers.ts';
import type { InferRequest } from './model.ts';

const Parameters = Type.Record(Type.String(), Type.Unknown());

const InputTensor = Type.Object({
  name: Type.String({ minLength: 1 }),
  shape: Type.Array(Type.Integer()),
  datatype: Type.String({ description: 'BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64 or BYTES.' }),
  parameters: Type.Optional(Parameters),
  data: Type.Optional(Type.Unknown({ description: 'Row-major, flat or nested. Absent where parameters.binary_data_size is given.' })),
});

const RequestedOutput = Type.Object({ name: Type.String({ minLength: 1 }), parameters: Type.Optional(Parameters) });

export const InferenceRequest = Type.Object({
  id: Type.Optional(Type.String()),
  parameters: Type.Optional(Parameters),
  inputs: Type.Array(InputTensor),
  outputs: Type.Optional(Type.Array(RequestedOutput)),
}, { description: 'Binary tensors follow the JSON, in order; the header Inference-Header-Content-Length then has its length.' });

type Header = Static<typeof InferenceRequest>;

export type InferBody = InferRequest & {
  /** Whether that output is sent as bytes after the JSON of the answer. */
  readonly isBinary: (output: string) => boolean;
};

export const headerLengthName = 'inference-header-content-length';

const checkHeader = bodyChecker(InferenceRequest);

/** Where a body must begin in its buffer so that the first binary tensor is aligned for any type. */
export function bodyOffsetBytes(header: (name: string) => string): number {
  const length = Number(header(headerLengthName));
  return Number.isSafeInteger(length) && length > 0 ? (tensorAlignmentBytes - (length % tensorAlignmentBytes)) % tensorAlignmentBytes : 0;
}

/** `body` is the request's own: tensors are views of it where they are aligned. Throws REQUEST_INVALID or JSON_INVALID. */
export function readInferBody(body: Uint8Array, call: Call): InferBody {
  const headerBytes = headerLength(call, body.byteLength);
  // As Triton has it: a body without a header is the only input, and the answer is binary.
  if (headerBytes === 0) return { id: '', inputs: { raw: body }, outputs: undefined, parameters: {}, isBinary: () => true };
  const json = body.subarray(0, headerBytes ?? body.byteLength);
  const header = checkHeader(parseJson(json));
  const { parameters = {}, outputs } = header;
  outputs?.forEach((output, i) => refuseElsewhere(output.parameters, `outputs[${i}]`));
  const binaryByDefault = flag(parameters, 'binary_data_output', 'parameters') ?? false;
  const binary = new Map(outputs?.map(({ name, parameters: wants = {} }, i) => {
    return [name, flag(wants, 'binary_data', `outputs[${i}].parameters`) ?? binaryByDefault];
  }));
  return {
    id: header.id ?? '',
    inputs: readInputs(header, json, body.subarray(json.byteLength)),
    outputs: outputs?.map(({ name }) => name),
    parameters,
    isBinary: (name) => binary.get(name) ?? binaryByDefault,
  };
}

/** Undefined: all of it is JSON. */
function headerLength(call: Call, bodyBytes: number): number | undefined {
  const text = call.header(headerLengthName);
  if (text === '') return undefined;
  if (/^\d{1,15}$/.test(text) && Number(text) <= bodyBytes) return Number(text);
  const detail = `'Inference-Header-Content-Length' must be from 0 to the ${bodyBytes} bytes of the body.`;
  throw new ServerError('REQUEST_INVALID', detail, { field: headerLengthName });
}

function readInputs({ inputs }: Header, json: Uint8Array, binary: Uint8Array): NamedTensor[] {
  let at = 0;
  const exact = exactData(inputs, json);
  const tensors = inputs.map(({ name, parameters = {}, shape, datatype, data }, i): NamedTensor => {
    const field = `inputs[${i}]`;
    refuseElsewhere(parameters, field);
    const size = sizeOf(parameters, field);
    if ((size === undefined) === (data === undefined)) {
      const reason = data === undefined ? 'has neither' : 'has both';
      throw invalid(field, `${reason} 'data' and 'parameters.binary_data_size'; it needs one of them`);
    }
    const type = dataTypeOf(datatype, `${field}.datatype`);
    const sizes = checkShape(shape, `${field}.shape`);
    if (size === undefined) return { name, tensor: jsonTensor(exact?.[i] ?? data, sizes, type, `${field}.data`) };
    if (size > binary.byteLength - at) {
      throw invalid(`${field}.parameters.binary_data_size`, `is ${size}, and ${binary.byteLength - at} bytes are left`);
    }
    const bytes = binary.subarray(at, at + size);
    at += size;
    return { name, tensor: tensorOfBytes(bytes, sizes, type, field) };
  });
  if (at < binary.byteLength) throw invalid('inputs', `announce ${at} bytes of tensors, and ${binary.byteLength} follow the JSON`);
  return tensors;
}

function jsonTensor(data: unknown, shape: readonly number[], datatype: Tensor['datatype'], field: string): Tensor {
  if (datatype === 'float16') throw invalid(field, 'holds FP16, which is sent as binary only');
  if (!Array.isArray(data)) throw invalid(field, 'must be a list');
  const flat: unknown[] = Array.isArray(data[0]) ? data.flat(tensorRankMax) : data;
  return readFlat(flat, shape, datatype, field);
}

/** JSON.parse rounds beyond 2^53; where that may have happened, the lists again with such integers as digits. */
function exactData(inputs: Header['inputs'], json: Uint8Array): readonly unknown[] | undefined {
  const isLong = ({ datatype, data }: Header['inputs'][number]): boolean => data !== undefined && /^U?INT64$/.test(datatype);
  if (!inputs.some(isLong) || !hasLongIntegers(json)) return undefined;
  const { inputs: again } = parseJson(exactIntegers(json)) as Header;
  return again.map((input) => (isLong(input) ? input.data : undefined));
}

function sizeOf(parameters: Readonly<Record<string, unknown>>, field: string): number | undefined {
  const size = Object.hasOwn(parameters, 'binary_data_size') ? parameters['binary_data_size'] : undefined;
  if (size === undefined || (Number.isSafeInteger(size) && (size as number) >= 0)) return size as number | undefined;
  throw invalid(`${field}.parameters.binary_data_size`, 'must be a non-negative integer');
}

function flag(parameters: Readonly<Record<string, unknown>>, name: string, field: string): boolean | undefined {
  const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
  if (value === undefined || typeof value === 'boolean') return value;
  throw invalid(`${field}.${name}`, 'must be true or false');
}

/** Extensions that this server does not list. */
function refuseElsewhere(parameters: Readonly<Record<string, unknown>> | undefined, field: string): void {
  for (const name of ['shared_memory_region', 'classification']) {
    if (parameters !== undefined && Object.hasOwn(parameters, name)) throw invalid(`${field}.parameters.${name}`, 'is not supported by this server');
  }
}

function invalid(field: string, reason: string): ServerError {
  return new ServerError('REQUEST_INVALID', `'${field}' ${reason}.`, { field });
}
