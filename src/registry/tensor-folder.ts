// Which tensor models a folder holds: `<name>/<version>/model.onnx`, `<name>/model.onnx` or `<version>.onnx`.
// Invariant: paths are made of what the folder lists, never of what a client sends.
import { readdirSync, statSync, type Dirent, type Stats } from 'node:fs';
import path from 'node:path';

/** One version on disk. A version that stands alone has its own name. */
export type TensorFiles = {
  readonly name: string;
  readonly version: string;
  /** Absolute; never shown to a client. */
  readonly onnxFile: string;
  readonly manifestFile: string | undefined;
  readonly bytes: number;
  readonly modifiedMs: number;
};

/** What a URL, a log line and a metric can carry as it is. */
const nameForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

export function isModelName(text: string): boolean {
  return nameForm.test(text);
}

/**
 * In the order of names, then versions (1.2 before 1.10). What has another form is passed over: hidden files,
 * folders of embedding models. A folder that is not there holds nothing. Throws what the file system throws.
 */
export function scanTensorFolder(directory: string): TensorFiles[] {
  const found: TensorFiles[] = [];
  for (const entry of entriesOf(directory)) {
    const at = path.join(directory, entry.name);
    const bare = /^(.+)\.onnx$/.exec(entry.name)?.[1];
    if (bare !== undefined && nameForm.test(bare)) add(found, bare, bare, at, undefined);
    if (!nameForm.test(entry.name) || bare !== undefined) continue;
    const inside = namesIn(at);
    // A model of texts, whose folder has versions of nothing.
    if (inside.includes('tokenizer.json')) continue;
    if (inside.includes('model.onnx'))
      add(found, entry.name, entry.name, path.join(at, 'model.onnx'), path.join(at, 'manifest.json'));
    for (const version of inside.filter((name) => nameForm.test(name))) {
      add(found, entry.name, version, path.join(at, version, 'model.onnx'), path.join(at, version, 'manifest.json'));
    }
  }
  return found.sort((a, b) => compareVersions(a.name, b.name) || compareVersions(a.version, b.version));
}

/** Numbers in versions compare as numbers: 1.10 is above 1.9. */
export function compareVersions(a: string, b: string): number {
  return collator.compare(a, b);
}

const collator = new Intl.Collator('en', { numeric: true });

function add(
  found: TensorFiles[],
  name: string,
  version: string,
  onnxFile: string,
  manifestFile: string | undefined,
): void {
  const stat = fileStat(onnxFile);
  if (stat === undefined) return;
  const manifest = manifestFile === undefined ? undefined : fileStat(manifestFile);
  found.push({
    name,
    version,
    onnxFile: path.resolve(onnxFile),
    manifestFile: manifest === undefined ? undefined : manifestFile,
    bytes: stat.size,
    modifiedMs: Math.max(stat.mtimeMs, manifest?.mtimeMs ?? 0),
  });
}

/** Undefined for what is no file that can be looked at: one bad entry must not hide the others. */
function fileStat(file: string): Stats | undefined {
  try {
    const stat = statSync(file);
    return stat.isFile() ? stat : undefined;
  } catch {
    return undefined;
  }
}

/** None of what cannot be looked into, such as a link to itself: one bad entry must not hide the others. */
function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Files and folders, links to them too; of a file, nothing. */
function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}
