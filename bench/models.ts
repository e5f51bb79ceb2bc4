// The model files a bench runs on: the one inside the package, and two others where they were downloaded.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export type ModelName = 'default' | 'fp32' | 'int8';
export const modelNames: readonly ModelName[] = ['default', 'fp32', 'int8'];

export type BenchModel = {
  readonly name: ModelName;
  readonly onnxFile: string;
  readonly tokenizerFile: string;
  readonly tokenizerConfigFile: string;
  readonly tokensMax: number;
  /** False when a text's vector would depend on the texts it runs with; the server then runs one at a time. */
  readonly batchable: boolean;
  /** What the server is started with to load this file. */
  readonly environment: Readonly<Record<string, string>>;
};

/** The package's folder; this file is dist/bench/models.js in it. */
export const packageFolder: string = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** all-MiniLM-L6-v2's own bound, from its sentence_bert_config.json. */
const tokensMax = 256;

/** Where the fp32 and int8 files are looked for when the command line does not say. */
export const sharedFolder: string = path.resolve(
  packageFolder,
  '../shared/models/sentence-transformers/all-MiniLM-L6-v2',
);

/** The models that are there, in the order of `modelNames`. `folder` holds the fp32 and int8 files. */
export function findModels(folder: string): BenchModel[] {
  const embedded = path.join(packageFolder, 'models/all-MiniLM-L6-v2');
  const [embeddedFile = ''] = onnxFiles(embedded);
  const [int8File = ''] = onnxFiles(folder).filter((file) => /int8/.test(path.basename(file)));
  const fp32File = path.join(folder, 'onnx/model.onnx');
  const models: BenchModel[] = [
    { name: 'default', onnxFile: embeddedFile, ...tokenizerOf(embedded), tokensMax, batchable: true, environment: {} },
    {
      name: 'fp32',
      onnxFile: fp32File,
      ...tokenizerOf(folder),
      tokensMax,
      batchable: true,
      environment: { MODEL_PATH: folder, PRECISION: 'fp32' },
    },
    {
      name: 'int8',
      onnxFile: int8File,
      ...tokenizerOf(folder),
      tokensMax,
      batchable: false,
      environment: { MODEL_PATH: folder, PRECISION: 'int8' },
    },
  ];
  return models.filter((model) => existsSync(model.onnxFile) && existsSync(model.tokenizerFile));
}

function tokenizerOf(folder: string): Pick<BenchModel, 'tokenizerFile' | 'tokenizerConfigFile'> {
  return {
    tokenizerFile: path.join(folder, 'tokenizer.json'),
    tokenizerConfigFile: path.join(folder, 'tokenizer_config.json'),
  };
}

/** `model.onnx` first, as every loader prefers it. */
function onnxFiles(folder: string): string[] {
  const found: string[] = [];
  for (const place of [path.join(folder, 'onnx'), folder]) {
    const names = existsSync(place) ? readdirSync(place).filter((name) => name.endsWith('.onnx')) : [];
    found.push(...names.map((name) => path.join(place, name)));
  }
  return found.sort((a, b) => Number(path.basename(b) === 'model.onnx') - Number(path.basename(a) === 'model.onnx'));
}
