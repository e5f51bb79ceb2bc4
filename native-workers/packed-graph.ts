// Lets a row of an embedding model hold several texts, where its graph allows it: models/pack.py on the bytes of a
// model, at load. Attention then sees a token's own text only, and positions begin anew with each text; `attention_mask`
// counts: tokens with the same number are one text, 0 is padding.
//
// What makes the bias of attention and the positions is taken out, and new nodes give tensors of the same names. The
// weights stay where they are: messages that follow each other in protobuf are one, so new nodes stand at the end.
import { bytesField, NotOnnx, numberField, parts, textOf, type Part } from './onnx-bytes.ts';

/** Fields of onnx.proto by number. */
const model = { graph: 7, opset: 8 } as const;
const opset = { domain: 1, version: 2 } as const;
const graph = { node: 1, initializer: 5, input: 11, output: 12, valueInfo: 13 } as const;
const node = { input: 1, output: 2, opType: 4, attribute: 5 } as const;
const attribute = { name: 1, integer: 3, tensor: 5, type: 20 } as const;
const tensor = { dims: 1, dataType: 2, floats: 4, int64s: 7, name: 8, raw: 9, external: 13 } as const;
const valueName = 1;
/** No field of a graph has this number, so readers pass over it. */
const passedOver = 3 * 8 + 2;
const dataType = { float: 1, int64: 7, float16: 10, bfloat16: 16 } as const;
const attributeType = { integer: 2 } as const;

/** Unsqueeze takes its axes as an input since then. */
const opsetMin = 13;

type Node = { readonly part: Part; readonly inputs: readonly string[]; readonly outputs: readonly string[]; readonly opType: string; readonly constant: Constant | undefined };
type Constant = { readonly part: Part; readonly rank: number; readonly countsUp: boolean; readonly dataType: number };

/** The graph cannot be packed: why, for those who look for it. */
class Unpackable extends Error {}

/**
 * @param bytes of a model; changed, where the graph can be packed
 * @returns what to write after them, or undefined where the graph stays as it is
 */
export function packGraph(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return new Graph(bytes).pack();
  } catch (error) {
    if (error instanceof Unpackable || error instanceof NotOnnx) return undefined;
    throw error;
  }
}

class Graph {
  readonly #bytes: Uint8Array;
  readonly #nodes: Node[] = [];
  readonly #producers = new Map<string, Node>();
  readonly #initializers = new Map<string, Constant>();
  readonly #inputs = new Set<string>();
  readonly #outputs: string[] = [];
  readonly #valueInfos: Part[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    let version = 0;
    for (const part of parts(bytes, 0, bytes.length)) {
      if (part.number === model.graph) this.#readGraph(part);
      else if (part.number === model.opset) version = Math.max(version, this.#opsetVersion(part));
    }
    if (version < opsetMin) throw new Unpackable(`opset ${version}`);
    for (const name of this.#initializers.keys()) this.#inputs.delete(name);
  }

  pack(): Uint8Array {
    if (!this.#inputs.has('attention_mask') || this.#inputs.has('position_ids')) throw new Unpackable('inputs');
    const biases = this.#attentionBiases();
    const positions = this.#positions();
    const replaced = new Set([...biases, ...positions]);
    const { nodes, names } = this.#reached(replaced);
    for (const { inputs } of nodes) if (inputs.includes('attention_mask')) throw new Unpackable('the mask is used beyond attention');
    // Nothing may be changed before all is known to be right.
    for (const each of this.#nodes) if (!nodes.has(each)) this.#bytes[each.part.tagAt] = passedOver;
    for (const [name, { part }] of this.#initializers) if (!names.has(name)) this.#bytes[part.tagAt] = passedOver;
    for (const { tagAt } of this.#valueInfos) this.#bytes[tagAt] = passedOver;
    return bytesField(model.graph, newNodes([...biases], [...positions]));
  }

  #readGraph({ start, end }: Part): void {
    for (const part of parts(this.#bytes, start, end)) {
      if (part.number === graph.node) this.#addNode(part);
      else if (part.number === graph.initializer) this.#addInitializer(part);
      else if (part.number === graph.input) this.#inputs.add(this.#name(part, valueName));
      else if (part.number === graph.output) this.#outputs.push(this.#name(part, valueName));
      else if (part.number === graph.valueInfo) this.#valueInfos.push(part);
    }
  }

  #addNode(part: Part): void {
    const inputs: string[] = [];
    const outputs: string[] = [];
    let opType = '';
    let constant: Constant | undefined;
    for (const field of parts(this.#bytes, part.start, part.end)) {
      if (field.number === node.input) inputs.push(textOf(this.#bytes, field));
      else if (field.number === node.output) outputs.push(textOf(this.#bytes, field));
      else if (field.number === node.opType) opType = textOf(this.#bytes, field);
      else if (field.number === node.attribute && opType === 'Constant') constant = this.#attributeTensor(field) ?? constant;
    }
    const read = { part, inputs, outputs, opType, constant };
    this.#nodes.push(read);
    for (const output of outputs) this.#producers.set(output, read);
  }

  #addInitializer(part: Part): void {
    const constant = this.#constant(part);
    if (constant.dataType === dataType.float16 || constant.dataType === dataType.bfloat16) throw new Unpackable('scores of 16 bits');
    this.#initializers.set(this.#name(part, tensor.name), constant);
  }

  #attributeTensor(part: Part): Constant | undefined {
    for (const field of parts(this.#bytes, part.start, part.end)) if (field.number === attribute.tensor) return this.#constant(field);
    return undefined;
  }

  #constant(part: Part): Constant {
    let rank = 0;
    let type = 0;
    let values: BigInt64Array | undefined;
    for (const field of parts(this.#bytes, part.start, part.end)) {
      if (field.number === tensor.external) throw new Unpackable('weights in another file');
      // Dimensions stand one by one or together.
      if (field.number === tensor.dims) rank += field.start === field.end ? 1 : [...numbers(this.#bytes, field)].length;
      if (field.number === tensor.dataType) type = field.value;
      if (field.number === tensor.raw) values = int64s(this.#bytes, field);
    }
    return { part, rank, dataType: type, countsUp: type === dataType.int64 && values !== undefined && countsUp(values) };
  }

  #opsetVersion({ start, end }: Part): number {
    let domain = '';
    let version = 0;
    for (const field of parts(this.#bytes, start, end)) {
      if (field.number === opset.domain) domain = textOf(this.#bytes, field);
      if (field.number === opset.version) version = field.value;
    }
    return domain === '' ? version : 0;
  }

  #name({ start, end }: Part, number: number): string {
    for (const field of parts(this.#bytes, start, end)) if (field.number === number) return textOf(this.#bytes, field);
    return '';
  }

  /** What is added to the scores of attention and carries the mask. */
  #attentionBiases(): Set<string> {
    const softmaxes = this.#nodes.filter(({ opType }) => opType === 'Softmax');
    if (softmaxes.length === 0) throw new Unpackable('no Softmax');
    return new Set(softmaxes.map((softmax) => {
      const scores = this.#producers.get(softmax.inputs[0]!);
      const bias = scores?.opType === 'Add' ? scores.inputs.find((name) => this.#isMask(name)) : undefined;
      if (bias === undefined) throw new Unpackable('scores that are not masked by adding');
      return bias;
    }));
  }

  #isMask(name: string): boolean {
    const { inputs } = this.#sources(name);
    return inputs.size === 1 && inputs.has('attention_mask');
  }

  /** What says which rows of a table of absolute positions are read. */
  #positions(): Set<string> {
    const names = new Set<string>();
    for (const { opType, inputs: [table, index] } of this.#nodes) {
      if (opType !== 'Gather' || index === undefined) continue;
      const { nodes, inputs } = this.#sources(index);
      if (inputs.has('input_ids') && index !== 'input_ids') throw new Unpackable('positions out of token ids');
      if (inputs.size > 0 || (this.#constantOf(table!)?.rank ?? 0) < 2) continue;
      const makers = [...nodes].some((each) => each.opType === 'Range' || [...each.inputs, ...each.outputs].some((name) => this.#constantOf(name)?.countsUp));
      if (makers || this.#constantOf(index)?.countsUp === true) names.add(index);
    }
    return names;
  }

  #constantOf(name: string): Constant | undefined {
    return this.#initializers.get(name) ?? this.#producers.get(name)?.constant;
  }

  /** Nodes and inputs whose values reach a tensor; a Shape passes no values on. */
  #sources(name: string): { nodes: Set<Node>; inputs: Set<string> } {
    const nodes = new Set<Node>();
    const inputs = new Set<string>();
    const open = [name];
    for (let current = open.pop(); current !== undefined; current = open.pop()) {
      if (this.#inputs.has(current)) inputs.add(current);
      const producer = this.#producers.get(current);
      if (producer === undefined || nodes.has(producer)) continue;
      nodes.add(producer);
      if (producer.opType !== 'Shape') open.push(...producer.inputs);
    }
    return { nodes, inputs };
  }

  /** Nodes and names that the outputs need when others give what is `replaced`. */
  #reached(replaced: ReadonlySet<string>): { nodes: Set<Node>; names: Set<string> } {
    const nodes = new Set<Node>();
    const names = new Set<string>();
    const open = [...this.#outputs];
    for (let current = open.pop(); current !== undefined; current = open.pop()) {
      if (replaced.has(current)) continue;
      names.add(current);
      const producer = this.#producers.get(current);
      if (producer === undefined || nodes.has(producer)) continue;
      if (producer.outputs.some((output) => replaced.has(output))) throw new Unpackable('a node with other outputs');
      nodes.add(producer);
      open.push(...producer.inputs);
    }
    return { nodes, names };
  }
}

function* numbers(bytes: Uint8Array, { start, end }: Part): Generator<number> {
  for (let at = start; at < end; at++) if (bytes[at]! < 0x80) yield at;
}

function int64s(bytes: Uint8Array, { start, end }: Part): BigInt64Array | undefined {
  if ((end - start) % 8 !== 0) return undefined;
  return new BigInt64Array(new Uint8Array(bytes.subarray(start, Math.min(end, start + 8 * countedMax))).buffer);
}

/** More positions than any model has; what is looked at to see whether a constant counts. */
const countedMax = 64;

function countsUp(values: BigInt64Array): boolean {
  return values.length > 1 && values.every((value, i) => value === BigInt(i));
}

/** Nodes that give the biases [rows, 1, tokens, tokens] and the positions [rows, tokens], and their constants. */
function newNodes(biases: readonly string[], positions: readonly string[]): Buffer[] {
  const made = [
    constantOf('packed/first_axis', [1], 1n), constantOf('packed/last_axis', [1], 2n), constantOf('packed/one', [], 1n), constantOf('packed/zero', [], 0n),
    floatOf('packed/seen', 0), floatOf('packed/blocked', -3.4028234663852886e38),
    // [rows, tokens, tokens]: do the two tokens have the same number?
    nodeOf('Unsqueeze', ['attention_mask', 'packed/last_axis'], 'packed/queries'),
    nodeOf('Unsqueeze', ['attention_mask', 'packed/first_axis'], 'packed/keys'),
    nodeOf('Equal', ['packed/queries', 'packed/keys'], 'packed/same_text'),
    nodeOf('Unsqueeze', ['packed/same_text', 'packed/first_axis'], 'packed/same_text_of_heads'),
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
