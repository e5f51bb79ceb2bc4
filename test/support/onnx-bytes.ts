// Writes small ONNX models as bytes, so that tests can have any graph without a Python toolchain.
// Field numbers are those of onnx.proto.

export const elementTypes = {
  float32: 1, uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, int64: 7, string: 8, bool: 9, float16: 10, float64: 11, uint32: 12, uint64: 13,
} as const;

export type ElementType = keyof typeof elementTypes;

export type GraphParts = {
  readonly nodes: readonly Buffer[];
  readonly initializers?: readonly Buffer[];
  readonly inputs?: readonly Buffer[];
  readonly outputs: readonly Buffer[];
};

/** @param operatorSets versions by domain; '' is ONNX's own */
export function onnxModel(parts: GraphParts, operatorSets: Readonly<Record<string, number>> = { '': 13 }): Buffer {
  const sets = Object.entries(operatorSets).map(([domain, version]) => bytes(8, message([text(1, domain), number(2, version)])));
  return message([number(1, 8), ...sets, bytes(7, graph(parts))]);
}

export function graph(parts: GraphParts): Buffer {
  return message([
    ...parts.nodes.map((node) => bytes(1, node)),
    text(2, 'graph'),
    ...(parts.initializers ?? []).map((tensor) => bytes(5, tensor)),
    ...(parts.inputs ?? []).map((value) => bytes(11, value)),
    ...parts.outputs.map((value) => bytes(12, value)),
  ]);
}

export type Attribute = number | string | readonly number[] | Buffer | { readonly tensor: Buffer };

/** An attribute that is a number, a text, a list of numbers, a graph or a tensor. `domain:Type` is of another domain. */
export function node(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Buffer {
  const [type = '', domain = ''] = operator.split(':').reverse();
  return message([
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, type),
    text(7, domain),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, attribute(name, value))),
  ]);
}

export function tensorInfo(name: string, type: ElementType, dims: readonly (number | string)[]): Buffer {
  const shape = message(dims.map((dim) => bytes(1, typeof dim === 'number' ? number(1, dim) : text(2, dim))));
  const tensorType = message([number(1, elementTypes[type]), bytes(2, shape)]);
  return message([text(1, name), bytes(2, bytes(1, tensorType))]);
}

export function initializer(name: string, type: ElementType, dims: readonly number[], values: ArrayBufferView): Buffer {
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return message([...dims.map((dim) => number(1, dim)), number(2, elementTypes[type]), text(8, name), bytes(9, raw)]);
}

/** Its values lie in another file, as the exporter says. */
export function externalInitializer(name: string, dims: readonly number[], location: string): Buffer {
  const entry = message([text(1, 'location'), text(2, location)]);
  const external = [bytes(13, entry), number(14, 1)];
  return message([...dims.map((dim) => number(1, dim)), number(2, elementTypes.float32), text(8, name), ...external]);
}

function attribute(name: string, value: Attribute): Buffer {
  if (typeof value === 'number') return message([text(1, name), number(3, value), number(20, 2)]);
  if (typeof value === 'string') return message([text(1, name), text(4, value), number(20, 3)]);
  if (typeof value === 'object' && 'tensor' in value) return message([text(1, name), bytes(5, value.tensor), number(20, 4)]);
  if (Buffer.isBuffer(value)) return message([text(1, name), bytes(6, value), number(20, 5)]);
  return message([text(1, name), ...(value as readonly number[]).map((each) => number(8, each)), number(20, 7)]);
}

function message(fields: readonly Buffer[]): Buffer {
  return Buffer.concat(fields);
}

function text(field: number, value: string): Buffer {
  return bytes(field, Buffer.from(value));
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);
}

function number(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  do {
    out.push((rest % 128) | (rest >= 128 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.from(out);
}
