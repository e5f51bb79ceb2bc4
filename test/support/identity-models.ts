// Models that give back what they get, one for each element type: what a transport does is then all there is to see.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { elementTypes, node, onnxModel, tensorInfo, type ElementType } from './onnx-bytes.ts';

/** `identity_float32`, …: one input `input` and one output `output` of shape [n]. */
const identityTypes = Object.keys(elementTypes) as ElementType[];

/** A folder for MODEL_DIR; the caller removes it with `remove`. */
export function identityFolder(): { readonly directory: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'ortserve-identity-'));
  for (const type of identityTypes) writeModel(directory, `identity_${type}`, '1', identity(type, ['n']));
  writeModel(directory, 'versions', '1', identity('float32', ['n']));
  writeModel(directory, 'versions', '2', identity('float32', ['n', 2]));
  writeModel(directory, 'batching', '1', identity('float32', ['rows', 4]), {
    batching: { rowsMax: 8, preferredRows: [4], queueDelayMs: 20, priorityLevels: 3 },
  });
  writeModel(directory, 'two', '1', onnxModel({
    nodes: [node('Identity', ['a'], ['x']), node('Identity', ['b'], ['y'])],
    inputs: [tensorInfo('a', 'float32', ['n']), tensorInfo('b', 'int64', ['m'])],
    outputs: [tensorInfo('x', 'float32', ['n']), tensorInfo('y', 'int64', ['m'])],
  }));
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

export function identity(type: ElementType, shape: readonly (number | string)[]): Buffer {
  return onnxModel({
    nodes: [node('Identity', ['input'], ['output'])],
    inputs: [tensorInfo('input', type, shape)],
    outputs: [tensorInfo('output', type, shape)],
  });
}

function writeModel(directory: string, name: string, version: string, onnx: Buffer, manifest?: object): void {
  const folder = join(directory, name, version);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'model.onnx'), onnx);
  if (manifest !== undefined) writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
}
