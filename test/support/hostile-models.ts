// Models that harm whoever opens them: what an upload must refuse.
import { externalInitializer, graph, initializer, node, onnxModel, tensorInfo } from './onnx-bytes.ts';

const x = tensorInfo('x', 'float32', ['rows', 2]);
const one = tensorInfo('x', 'float32', [1]);
const y = tensorInfo('y', 'float32', ['rows', 2]);
const anything = tensorInfo('y', 'float32', ['size']);
const add = node('Add', ['x', 'x'], ['y']);

/** y = 2 x; harmless. */
export const doubling = onnxModel({ nodes: [add], inputs: [x], outputs: [y] });

/** The same, larger by so many bytes. */
export function doublingOf(bytes: number): Buffer {
  const weights = initializer('w', 'uint8', [bytes], new Uint8Array(bytes));
  return onnxModel({ nodes: [add, node('Shape', ['w'], ['unused'])], inputs: [x], outputs: [y], initializers: [weights] });
}

/** Loops for ever, and native code cannot be stopped inside a process. */
export const endlessLoop = onnxModel({
  nodes: [node('Loop', ['', 'yes', 'x'], ['y'], { body: loopBody() })],
  initializers: [initializer('yes', 'bool', [], new Uint8Array([1]))],
  inputs: [tensorInfo('x', 'float32', [])],
  outputs: [tensorInfo('y', 'float32', [])],
});

function loopBody(): Buffer {
  return graph({
    nodes: [node('Identity', ['again'], ['again_out']), node('Identity', ['value'], ['value_out'])],
    inputs: [tensorInfo('i', 'int64', []), tensorInfo('again', 'bool', []), tensorInfo('value', 'float32', [])],
    outputs: [tensorInfo('again_out', 'bool', []), tensorInfo('value_out', 'float32', [])],
  });
}

const sizes = (...values: bigint[]) => initializer('sizes', 'int64', [values.length], new BigInt64Array(values));

function constant(count: bigint): Buffer {
  const value = { tensor: initializer('value', 'float32', [1], new Float32Array([1])) };
  const nodes = [node('ConstantOfShape', ['sizes'], ['c'], { value }), node('Add', ['c', 'x'], ['y'])];
  return onnxModel({ nodes, inputs: [one], outputs: [anything], initializers: [sizes(count)] });
}

function grown(operator: string, ...by: bigint[]): Buffer {
  return onnxModel({ nodes: [node(operator, ['x', 'sizes'], ['y'])], inputs: [one], outputs: [anything], initializers: [sizes(...by)] });
}

const gigabyte = 1n << 30n;

/** By what each does, and what the refusal says. */
export const hostileModels: Readonly<Record<string, readonly [bytes: Buffer, reason: RegExp]>> = {
  'an endless loop': [endlessLoop, /did not load and run within/],
  'a constant of 4 TB': [constant(1024n * gigabyte), /bad_alloc|memory|within/],
  'a constant of 3 GB': [constant((3n * gigabyte) / 4n), /memory|within/],
  'an expanded value': [grown('Expand', 8n * gigabyte), /bad_alloc|memory|within/],
  'a tiled value': [grown('Tile', 8n * gigabyte), /exceeds|memory|within/],
  'a resized image': [
    onnxModel({
      nodes: [node('Resize', ['x', '', '', 'sizes'], ['y'], { mode: 'nearest' })],
      inputs: [tensorInfo('x', 'float32', [1, 1, 1, 1])],
      outputs: [tensorInfo('y', 'float32', [1, 1, 'h', 'w'])],
      initializers: [sizes(1n, 1n, 131_072n, 65_536n)],
    }),
    /bad_alloc|memory|within/,
  ],
  'a size that is computed': [
    onnxModel({
      nodes: [node('Shape', ['x'], ['s']), node('Mul', ['s', 'sizes'], ['t']), node('Expand', ['one', 't'], ['y'])],
      inputs: [x],
      outputs: [tensorInfo('y', 'float32', ['a', 'b'])],
      initializers: [sizes(131_072n, 65_536n), initializer('one', 'float32', [1], new Float32Array([1]))],
    }),
    /bad_alloc|memory|within/,
  ],
  'an unknown operator set': [onnxModel({ nodes: [add], inputs: [x], outputs: [y] }, { '': 999 }), /[Oo]pset 999/],
  'an unknown operator': [onnxModel({ nodes: [node('Frobnicate', ['x'], ['y'])], inputs: [x], outputs: [y] }), /Frobnicate/],
  'an operator of another domain': [
    onnxModel({ nodes: [node('com.example:Evil', ['x'], ['y'])], inputs: [x], outputs: [y] }, { '': 13, 'com.example': 1 }),
    /com\.example:Evil/,
  ],
  ...Object.fromEntries(
    ['/etc/passwd', '../../../etc/passwd', 'model.onnx', '*/_ORT_MEM_ADDR_/*', 'weights.bin'].map((location) => {
      const model = { nodes: [node('Add', ['x', 'w'], ['y'])], inputs: [x], outputs: [y], initializers: [externalInitializer('w', [1, 2], location)] };
      return [`weights in ${location}`, [onnxModel(model), /outside the file/] as const];
    }),
  ),
  'weights of a subgraph elsewhere': [
    onnxModel({
      nodes: [node('If', ['x'], ['y'], { then_branch: graph({ nodes: [], initializers: [externalInitializer('w', [1], '/etc/passwd')], outputs: [y] }) })],
      inputs: [x],
      outputs: [y],
    }),
    /outside the file/,
  ],
  'two inputs of one name': [onnxModel({ nodes: [add], inputs: [x, x], outputs: [y] }), /Two inputs are called "x"/],
  'ten thousand inputs': [
    onnxModel({ nodes: [add], inputs: [x, ...Array.from({ length: 10_000 }, (_, i) => tensorInfo(`x${i}`, 'float32', [1]))], outputs: [y] }),
    /more than 256 inputs/,
  ],
  'no outputs': [onnxModel({ nodes: [add], inputs: [x], outputs: [] }), /no outputs/],
  'a truncated file': [doubling.subarray(0, -7), /not an ONNX model/],
  'an empty file': [Buffer.alloc(0), /is empty/],
  'random bytes': [Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919 + 13) % 251)), /not an ONNX model/],
  'a zip archive': [Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(300)]), /not an ONNX model/],
  'text': [Buffer.from('<html>not found</html>'), /not an ONNX model/],
};
