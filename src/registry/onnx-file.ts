// Which ONNX file of a model folder serves, and what that file says of itself without being loaded.
// Walks the protobuf by its lengths and skips the weights: a file of any size costs a few hundred small reads.
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fields, NotProtobuf, ProtobufFile, type Field } from '../backend/protobuf-file.ts';
import { staysInside } from './inside.ts';

export type Precision = 'auto' | 'fp32' | 'fp16' | 'int8';

/** What decides among int8 files: the instruction sets they were quantised for. */
export type Cpu = { readonly architecture: string; readonly features: ReadonlySet<string> };

export type OnnxSummary = {
  /** Operator types used anywhere in the graph, subgraphs and local functions included. */
  readonly operators: ReadonlySet<string>;
  readonly outputs: readonly string[];
  /** Where weights lie that are not in the file, as it says: relative to its folder. */
  readonly weightFiles: ReadonlySet<string>;
};

/** The names that mean the wanted precision, best first. */
export function onnxFileNames(precision: Precision, cpu: Cpu): readonly string[] {
  if (precision === 'fp16') return ['model_fp16.onnx', 'model_O4.onnx'];
  if (precision !== 'int8') return ['model.onnx'];
  const generic = ['model_int8.onnx', 'model_quantized.onnx', 'model_uint8.onnx'];
  if (cpu.architecture === 'arm64') return ['model_qint8_arm64.onnx', ...generic];
  const vnni = cpu.features.has('avx512_vnni') || cpu.features.has('avx_vnni');
  // Without VNNI, products of full-range int8 weights overflow 16 bits and saturate: wrong vectors, no error.
  if (!vnni) return ['model_quint8_avx2.onnx', ...generic];
  return ['model_qint8_avx512_vnni.onnx', 'model_quint8_avx2.onnx', ...generic, 'model_qint8_avx512.onnx'];
}

/**
 * The first of `names` that is in one of `folders`, folders first to last; undefined when none is.
 * `filesIn` lists the ONNX files of a folder: of a disk, or of a repository that is not here yet.
 */
export function findOnnxFile(
  folders: readonly string[],
  names: readonly string[],
  filesIn: (folder: string) => readonly string[] = onnxFilesIn,
): string | undefined {
  const present = folders.map((folder) => new Set(filesIn(folder)));
  for (const name of names) {
    const index = present.findIndex((files) => files.has(name));
    if (index >= 0) return path.join(folders[index]!, name);
  }
  return undefined;
}

/** The ONNX files of a folder by name; none when there is no such folder. */
export function onnxFilesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.onnx')).sort();
  } catch {
    return [];
  }
}

/** The files with the weights of a model that keeps them outside, in the order of their names. */
export function onnxWeightFiles(file: string): readonly string[] {
  // What a graph names elsewhere is not followed: /dev/zero would be read for ever.
  const named = [...(readOnnxSummary(file)?.weightFiles ?? [])].map((location) => path.normalize(location)).filter(staysInside);
  return [...new Set(named)].sort().map((location) => path.join(path.dirname(file), location));
}

/** With the weights that it keeps outside; undefined where there is no such file. */
export function onnxFileBytes(file: string): number | undefined {
  try {
    return [file, ...onnxWeightFiles(file)].reduce((bytes, each) => bytes + statSync(each).size, 0);
  } catch {
    return undefined;
  }
}

/** This machine. Only Linux tells its CPU's features; elsewhere none are assumed. */
export function thisCpu(): Cpu {
  let flags = '';
  try {
    flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
  } catch {
    // Not Linux.
  }
  return { architecture: process.arch, features: new Set(flags.split(' ').filter((flag) => flag !== '')) };
}

/** Undefined when the file is not an ONNX model, such as the pointer that Git LFS leaves in its place. */
export function readOnnxSummary(file: string): OnnxSummary | undefined {
  const descriptor = openSync(file, 'r');
  try {
    const summary = { operators: new Set<string>(), outputs: [] as string[], weightFiles: new Set<string>() };
    const reader = new ProtobufFile(descriptor);
    let graphs = 0;
    for (const field of fields(reader, 0, fstatSync(descriptor).size)) {
      if (field.number === modelGraph) {
        graphs += 1;
        walkGraph(reader, field, summary, 0);
      } else if (field.number === modelFunction) {
        for (const node of fields(reader, field.start, field.end)) {
          if (node.number === functionNode) walkNode(reader, node, summary, 0);
        }
      }
    }
    return graphs === 1 ? summary : undefined;
  } catch (error) {
    if (error instanceof NotProtobuf) return undefined;
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

// Field numbers of onnx.proto.
const modelGraph = 7;
const modelFunction = 25;
const functionNode = 7;
const graphNode = 1;
const graphInitializer = 5;
const graphOutput = 12;
const valueName = 1;
const nodeOperator = 4;
const nodeAttribute = 5;
const attributeTensor = 5;
const attributeGraph = 6;
const attributeTensors = 10;
const attributeGraphs = 11;

const tensorExternal = 13;
const entryKey = 1;
const entryValue = 2;

const graphDepthMax = 16;

type Summary = { readonly operators: Set<string>; readonly outputs: string[]; readonly weightFiles: Set<string> };

function walkGraph(reader: ProtobufFile, graph: Field, summary: Summary, depth: number): void {
  if (depth > graphDepthMax) throw new NotProtobuf();
  for (const field of fields(reader, graph.start, graph.end)) {
    if (field.number === graphNode) walkNode(reader, field, summary, depth);
    if (field.number === graphInitializer) walkTensor(reader, field, summary);
    if (field.number !== graphOutput || depth > 0) continue;
    for (const part of fields(reader, field.start, field.end)) {
      if (part.number === valueName) summary.outputs.push(reader.text(part));
    }
  }
}

function walkNode(reader: ProtobufFile, node: Field, summary: Summary, depth: number): void {
  for (const field of fields(reader, node.start, node.end)) {
    if (field.number === nodeOperator) summary.operators.add(reader.text(field));
    if (field.number !== nodeAttribute) continue;
    for (const part of fields(reader, field.start, field.end)) {
      const isGraph = part.number === attributeGraph || part.number === attributeGraphs;
      if (isGraph) walkGraph(reader, part, summary, depth + 1);
      if (part.number === attributeTensor || part.number === attributeTensors) walkTensor(reader, part, summary);
    }
  }
}

function walkTensor(reader: ProtobufFile, tensor: Field, summary: Summary): void {
  for (const entry of fields(reader, tensor.start, tensor.end)) {
    if (entry.number !== tensorExternal) continue;
    const texts = new Map<number, string>();
    for (const part of fields(reader, entry.start, entry.end)) texts.set(part.number, reader.text(part));
    if (texts.get(entryKey) === 'location') summary.weightFiles.add(texts.get(entryValue) ?? '');
  }
}
