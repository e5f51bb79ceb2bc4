// Lets a row of an embedding model hold several texts, where its graph allows it: models/pack.py on the bytes of a
// model, at load. Attention then sees a token's own text only, and positions begin anew with each text; `attention_mask`
// counts: tokens with the same number are one text, 0 is padding.
//
// What makes the bias of attention and the positions is taken out, and new nodes give tensors of the same names. The
// weights stay where they are: messages that follow each other in protobuf are one, so new nodes stand at the end.
import { NotProtobuf } from '../src/backend/protobuf-file.ts';
import {
  attribute, bytesField, dataType, graph, model, node, opset, parts, tensor, textOf, valueName, type Part,
} from './onnx-bytes.ts';
import { packedNodes } from './packed-nodes.ts';

/** Range exists since then. */
const opsetMin = 11;
/** No field of a graph has this number, so readers pass over it. */
const passedOver = 3 * 8 + 2;

type Node = {
  readonly part: Part;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly opType: string;
  readonly constant: Constant | undefined;
};

type Constant = {
  readonly part: Part;
  readonly rank: number;
  readonly dataType: number;
  /** It is 0, 1, 2, … */
  readonly countsUp: boolean;
};

/** The graph cannot be packed: why, for those who look for it. */
class Unpackable extends Error {}

/** What a graph adds to attention's scores for its mask, and its positions, before it was changed. */
export type Replaced = {
  /** A model that computes them, and nothing else. */
  readonly model: Uint8Array;
  readonly biases: readonly string[];
  readonly positions: readonly string[];
};

export type PackedGraph = {
  /** To be written after the model's bytes. */
  readonly added: Uint8Array;
  /** To be looked at: the names of operators do not tell all that it does. */
  readonly replaced: Replaced;
};

/**
 * @param bytes of a model; changed, where the graph can be packed
 * @returns undefined where the graph stays as it is
 */
export function packGraph(bytes: Uint8Array): PackedGraph | undefined {
  try {
    return new Graph(bytes).pack();
  } catch (error) {
    if (error instanceof Unpackable || error instanceof NotProtobuf) return undefined;
    throw error;
  }
}

class Graph {
  readonly #bytes: Uint8Array;
  readonly #nodes: Node[] = [];
  readonly #producers = new Map<string, Node>();
  readonly #initializers = new Map<string, Constant>();
  readonly #inputs = new Map<string, Part>();
  readonly #outputs: string[] = [];
  /** What the model says beside its graph, such as the versions of its operators. */
  readonly #beside: Part[] = [];
  readonly #valueInfos: Part[] = [];
  #opset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (const part of parts(bytes, 0, bytes.length)) {
      if (part.number === model.graph) this.#readGraph(part);
      else this.#beside.push(part);
      if (part.number === model.opset) this.#opset = Math.max(this.#opset, this.#opsetVersion(part));
    }
    if (this.#opset < opsetMin) throw new Unpackable(`opset ${this.#opset}`);
    for (const name of this.#initializers.keys()) this.#inputs.delete(name);
  }

  pack(): PackedGraph {
    if (!this.#inputs.has('attention_mask') || this.#inputs.has('position_ids')) throw new Unpackable('inputs');
    const biases = this.#attentionBiases();
    const positions = this.#positions();
    const replaced = this.#replaced([...biases], [...positions]);
    const { nodes, names } = this.#reached(this.#outputs, new Set([...biases, ...positions]));
    for (const { inputs } of nodes) if (inputs.includes('attention_mask')) throw new Unpackable('the mask is used beyond attention');
    // Nothing may be changed before all is known to be right.
    for (const each of this.#nodes) if (!nodes.has(each)) this.#bytes[each.part.tagAt] = passedOver;
    for (const [name, { part }] of this.#initializers) if (!names.has(name)) this.#bytes[part.tagAt] = passedOver;
    for (const { tagAt } of this.#valueInfos) this.#bytes[tagAt] = passedOver;
    return { added: bytesField(model.graph, packedNodes(replaced.biases, replaced.positions, this.#opset)), replaced };
  }

  #replaced(biases: readonly string[], positions: readonly string[]): Replaced {
    const outputs = [...biases, ...positions];
    const { nodes, names } = this.#reached(outputs, new Set());
    const kept = [
      ...this.#nodes.filter((each) => nodes.has(each)).map(({ part }) => part),
      ...[...this.#initializers].filter(([name]) => names.has(name)).map(([, { part }]) => part),
      ...this.#inputs.values(),
    ].map((part) => this.#bytesOf(part));
    const asked = outputs.map((name) => bytesField(graph.output, [bytesField(valueName, name)]));
    const beside = this.#beside.map((part) => this.#bytesOf(part));
    return { model: Buffer.concat([...beside, bytesField(model.graph, [bytesField(graph.name, 'replaced'), ...kept, ...asked])]), biases, positions };
  }

  #bytesOf({ tagAt, end }: Part): Uint8Array {
    return this.#bytes.subarray(tagAt, end);
  }

  #readGraph({ start, end }: Part): void {
    for (const part of parts(this.#bytes, start, end)) {
      if (part.number === graph.node) this.#addNode(part);
      else if (part.number === graph.initializer) this.#addInitializer(part);
      else if (part.number === graph.input) this.#inputs.set(this.#name(part, valueName), part);
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
      if (field.number === tensor.dims) rank += field.start === field.end ? 1 : varintCount(this.#bytes, field);
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

  /** Nodes and names that `outputs` need when others give what is `replaced`. */
  #reached(outputs: readonly string[], replaced: ReadonlySet<string>): { nodes: Set<Node>; names: Set<string> } {
    const nodes = new Set<Node>();
    const names = new Set<string>();
    const open = [...outputs];
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

function varintCount(bytes: Uint8Array, { start, end }: Part): number {
  let count = 0;
  for (let at = start; at < end; at++) if (bytes[at]! < 0x80) count += 1;
  return count;
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
