// What an ONNX file from outside must not hold, found without opening it: ONNX Runtime reads further files where the
// model names them, and takes the last of two inputs of one name.
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { fields, NotProtobuf, ProtobufFile, type Field } from '../src/backend/protobuf-file.ts';
import { modelNameCharsMax, modelValuesMax } from '../src/limits.ts';

type Message = 'model' | 'graph' | 'function' | 'node' | 'attribute' | 'tensor' | 'sparse' | 'external' | 'training';

/** Fields of onnx.proto by number that lead to a tensor. */
const within: Readonly<Record<Message, Readonly<Record<number, Message>>>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  function: { 7: 'node', 11: 'attribute' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: { 13: 'external' },
  external: {},
  training: {},
};

const modelGraph = 7;
const graphInitializer = 5;
const tensorName = 8;
const valueName = 1;
const depthMax = 64;

class Refusal extends Error {}

/** Why the file is not taken, as a sentence; undefined when nothing speaks against it. */
export function onnxRefusal(file: string): string | undefined {
  const descriptor = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile() || stat.size === 0) return 'The file is empty.';
    checkModel(new ProtobufFile(descriptor), stat.size);
    return undefined;
  } catch (error) {
    if (error instanceof NotProtobuf) return 'The file is not an ONNX model, or not all of one.';
    if (error instanceof Refusal) return error.message;
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function checkModel(reader: ProtobufFile, size: number): void {
  const graphs: Field[] = [];
  for (const field of fields(reader, 0, size)) if (field.number === modelGraph) graphs.push(field);
  if (graphs.length !== 1) throw new NotProtobuf();
  walk(reader, { number: 0, start: 0, end: size }, 'model', 0);
  const initializers = new Set(namesIn(reader, graphs[0]!, graphInitializer, tensorName));
  // Old models list their weights among the inputs.
  checkNames('input', namesIn(reader, graphs[0]!, 11, valueName), initializers);
  checkNames('output', namesIn(reader, graphs[0]!, 12, valueName), new Set());
}

function walk(reader: ProtobufFile, message: Field, kind: Message, depth: number): void {
  if (kind === 'external') throw new Refusal('It keeps data outside the file; all weights must be inside.');
  if (kind === 'training') throw new Refusal('It holds training information; export it for inference.');
  if (depth > depthMax) throw new Refusal('Its graphs are nested too deeply.');
  const inner = within[kind];
  for (const field of fields(reader, message.start, message.end)) {
    const next = inner[field.number];
    if (next !== undefined) walk(reader, field, next, depth + 1);
  }
}

function* namesIn(reader: ProtobufFile, graph: Field, number: number, nameNumber: number): Generator<string> {
  for (const field of fields(reader, graph.start, graph.end)) {
    if (field.number !== number) continue;
    for (const part of fields(reader, field.start, field.end)) {
      if (part.number !== nameNumber) continue;
      yield reader.text(part);
    }
  }
}

function checkNames(kind: 'input' | 'output', names: Iterable<string>, weights: ReadonlySet<string>): void {
  const seen = new Set<string>();
  let count = 0;
  for (const name of names) {
    if (name.length > modelNameCharsMax) throw new Refusal(`The name of an ${kind} is longer than ${modelNameCharsMax} characters.`);
    if (seen.has(name)) throw new Refusal(`Two ${kind}s are called ${JSON.stringify(name.replaceAll(/[^\x20-\x7e]/g, '?'))}.`);
    seen.add(name);
    if (!weights.has(name)) count += 1;
    if (count > modelValuesMax) throw new Refusal(`It has more than ${modelValuesMax} ${kind}s.`);
  }
  if (kind === 'output' && count === 0) throw new Refusal('It has no outputs.');
}
