// Which files of a repository serve, chosen from their names as the registry chooses in a folder. Pure.
// Invariant: of all weights only one ONNX file with its external data, and the safetensors of listed modules.
import { findOnnxFile, onnxFileNames } from '../registry/onnx-file.ts';
import type { Cpu, Precision } from '../registry/onnx-file.ts';
import { HubError } from './hub-error.ts';
import { isSafePath } from './names.ts';

export type PlanWants = {
  /** `org/name`, for errors. */
  readonly id: string;
  readonly precision: Precision;
  readonly cpu: Cpu;
  /** The text of modules.json; undefined when there is none. */
  readonly modules: string | undefined;
};

export const modulesFile = 'modules.json';

const settingsFiles = new RegExp('^(config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|modules|' +
  'config_sentence_transformers|sentence_[a-z-]+_config)\\.json$');
const namesShownMax = 20;

/** The files to pull, the ONNX file last: whoever sees it has the rest. Throws HubError. */
export function planFiles(names: readonly string[], wants: PlanWants): readonly string[] {
  const present = new Set(names);
  const folders = wants.modules === undefined ? [''] : moduleFolders(wants.modules, wants.id);
  const first = folders[0] ?? '';
  const settings = ['', first].flatMap((folder) => (
    names.filter((name) => name.startsWith(folder) && settingsFiles.test(name.slice(folder.length)))));
  if (!present.has(`${first}tokenizer.json`)) {
    throw new HubError('refused', `${wants.id} has no ${first}tokenizer.json, without which it cannot be served.`);
  }
  // Without modules.json the first Pooling folder still says how to pool.
  const others = wants.modules === undefined ? ['1_Pooling/'] : folders.slice(1).filter((folder) => folder !== '');
  const modules = others
    .flatMap((folder) => [`${folder}config.json`, `${folder}model.safetensors`])
    .filter((name) => present.has(name));
  const onnx = chooseOnnx(names, first, wants);
  const isExternal = (name: string): boolean => /^[_.]data(_\d+)?$/.test(name.slice(onnx.length));
  const external = names.filter((name) => name.startsWith(onnx) && isExternal(name));
  return [...new Set([...settings, ...modules, ...external, onnx])];
}

/** Of each module its folder with a closing slash, '' for the root. */
function moduleFolders(text: string, id: string): readonly string[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw new HubError('refused', `modules.json of ${id} is not valid JSON.`);
  }
  const paths = Array.isArray(list) ? list.map((entry: { path?: unknown } | null) => entry?.path) : [undefined];
  return paths.map((path) => {
    const folder = typeof path === 'string' ? path.replace(/^\.(\/|$)|\/$/g, '') : '..';
    if (folder !== '' && !isSafePath(folder)) {
      throw new HubError('refused', `modules.json of ${id} does not list modules with paths inside the repository.`);
    }
    return folder === '' ? '' : `${folder}/`;
  });
}

function chooseOnnx(names: readonly string[], first: string, { id, precision, cpu }: PlanWants): string {
  const filesIn = (folder: string): readonly string[] => {
    const inside = names.filter((name) => name.startsWith(folder)).map((name) => name.slice(folder.length));
    return inside.filter((name) => name.endsWith('.onnx') && !name.includes('/'));
  };
  const wanted = onnxFileNames(precision, cpu);
  const folders = [...new Set([first, `${first}onnx/`, 'onnx/'])];
  const found = findOnnxFile(folders, wanted, filesIn);
  // On Windows join writes backslashes.
  if (found !== undefined) return found.replaceAll('\\', '/');
  const there = names.filter((name) => name.endsWith('.onnx'));
  if (there.length > 0) {
    throw new HubError('refused', `${id} has no ONNX file for precision ${precision} on this CPU, which would be ` +
      `${wanted.join(' or ')}; there is ${listText(there)}. Choose another --precision.`);
  }
  throw new HubError('refused', `${id} has no ONNX file; it has ${listText(names)}. ` +
    `Make one with: optimum-cli export onnx --model ${id} FOLDER, and serve it with --model-path FOLDER.`);
}

function listText(names: readonly string[]): string {
  const more = names.length - namesShownMax;
  return names.slice(0, namesShownMax).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
