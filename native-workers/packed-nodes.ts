// The nodes by which rows may hold several texts: a bias that blocks tokens of other texts, and positions that begin
// anew with each text. In ONNX operators of set 11 and later.
import { attribute, attributeType, bytesField, dataType, graph, node, numberField, tensor } from './onnx-bytes.ts';

/** Unsqueeze takes its axes as an input since then. */
const opsetOfAxesInputs = 13;
const lowestFloat = -3.4028234663852886e38;

/** Fields of a graph: nodes that give the biases [rows, 1, tokens, tokens] and the positions [rows, tokens], and their constants. */
export function packedNodes(biases: readonly string[], positions: readonly string[], opsetVersion: number): Buffer[] {
  const unsqueeze = (input: string, axis: 'middle' | 'last', output: string): Buffer => {
    if (opsetVersion >= opsetOfAxesInputs) return nodeOf('Unsqueeze', [input, `packed/${axis}`], output);
    return nodeOf('Unsqueeze', [input], output, [integersOf('axes', [axis === 'last' ? 2 : 1])]);
  };
  const made = [
    constantOf('packed/middle', [1], 1n), constantOf('packed/last', [1], 2n), constantOf('packed/one', [], 1n), constantOf('packed/zero', [], 0n),
    floatOf('packed/seen', 0), floatOf('packed/blocked', lowestFloat),
    // [rows, tokens, tokens]: do the two tokens have the same number?
    unsqueeze('attention_mask', 'last', 'packed/queries'),
    unsqueeze('attention_mask', 'middle', 'packed/keys'),
    nodeOf('Equal', ['packed/queries', 'packed/keys'], 'packed/same_text'),
    unsqueeze('packed/same_text', 'middle', 'packed/same_text_of_heads'),
    ...biases.map((name) => nodeOf('Where', ['packed/same_text_of_heads', 'packed/seen', 'packed/blocked'], name)),
  ];
  if (positions.length === 0) return made;
  return [
    ...made,
    nodeOf('Cast', ['packed/same_text'], 'packed/same_text_number', [integerOf('to', dataType.float)]),
    // Of equal values ArgMax takes the first: that is where the text begins.
    nodeOf('ArgMax', ['packed/same_text_number'], 'packed/first', [integerOf('axis', 2), integerOf('keepdims', 0)]),
    nodeOf('Shape', ['attention_mask'], 'packed/shape'),
    nodeOf('Gather', ['packed/shape', 'packed/one'], 'packed/tokens'),
    nodeOf('Range', ['packed/zero', 'packed/tokens', 'packed/one'], 'packed/place'),
    ...positions.map((name) => nodeOf('Sub', ['packed/place', 'packed/first'], name)),
  ];
}

function nodeOf(opType: string, inputs: readonly string[], output: string, attributes: readonly Buffer[] = []): Buffer {
  const named = inputs.map((name) => bytesField(node.input, name));
  return bytesField(graph.node, [...named, bytesField(node.output, output), bytesField(node.opType, opType), ...attributes]);
}

function integerOf(name: string, value: number): Buffer {
  return bytesField(node.attribute, [bytesField(attribute.name, name), numberField(attribute.integer, value), numberField(attribute.type, attributeType.integer)]);
}

function integersOf(name: string, values: readonly number[]): Buffer {
  const numbered = values.map((value) => numberField(attribute.integers, value));
  return bytesField(node.attribute, [bytesField(attribute.name, name), ...numbered, numberField(attribute.type, attributeType.integers)]);
}

function constantOf(name: string, dims: readonly number[], value: bigint): Buffer {
  const raw = Buffer.alloc(8);
  raw.writeBigInt64LE(value);
  return initializerOf(name, dims, dataType.int64, raw);
}

function floatOf(name: string, value: number): Buffer {
  const raw = Buffer.alloc(4);
  raw.writeFloatLE(value);
  return initializerOf(name, [], dataType.float, raw);
}

function initializerOf(name: string, dims: readonly number[], type: number, raw: Buffer): Buffer {
  const sizes = dims.map((size) => numberField(tensor.dims, size));
  return bytesField(graph.initializer, [...sizes, numberField(tensor.dataType, type), bytesField(tensor.name, name), bytesField(tensor.raw, [raw])]);
}
