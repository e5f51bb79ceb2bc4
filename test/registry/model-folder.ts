// Model folders for the manifest's tests: every file a model needs, and what a test changes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { node, onnxModel, tensorInfo } from '../support/onnx-bytes.ts';

/** An ONNX file of these operators: enough to be read, not to be run. */
export function onnxOf(operators: readonly string[], outputs: readonly string[] = ['last_hidden_state']): Buffer {
  return onnxModel({
    nodes: operators.map((operator) => node(operator, ['a'], ['b'])),
    outputs: outputs.map((name) => tensorInfo(name, 'float32', ['rows', 'tokens', 4])),
  });
}

export function modulesJson(...types: readonly string[]): readonly object[] {
  return types.map((type, idx) => {
    const name = type.slice(type.lastIndexOf('.') + 1);
    const full = type.includes('.') ? type : `sentence_transformers.models.${type}`;
    return { idx, name: String(idx), path: name === 'Transformer' ? '' : `${idx}_${name}`, type: full };
  });
}

export const meanPooling = { word_embedding_dimension: 4, pooling_mode_mean_tokens: true };

/** What each file holds: JSON, raw bytes, or undefined for no such file. */
export type Files = Readonly<Record<string, object | Buffer | undefined>>;

const usual: Files = {
  'modules.json': modulesJson('Transformer', 'Pooling', 'Normalize'),
  '1_Pooling/config.json': meanPooling,
  'config.json': { model_type: 'bert', max_position_embeddings: 512, pad_token_id: 0 },
  'sentence_bert_config.json': { max_seq_length: 128, do_lower_case: false },
  'tokenizer.json': {},
  'tokenizer_config.json': { model_max_length: 512 },
  'onnx/model.onnx': onnxOf(['Gather']),
};

/** Writes a servable model with these files in place of the usual ones, and removes it after the tests. */
export function modelFolder(files: Files = {}, name = 'model'): string {
  const parent = mkdtempSync(path.join(tmpdir(), 'ortserve-manifest-'));
  after(() => rmSync(parent, { recursive: true, force: true }));
  const folder = path.join(parent, name);
  for (const [file, content] of Object.entries({ ...usual, ...files })) {
    if (content === undefined) continue;
    const target = path.join(folder, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, Buffer.isBuffer(content) ? content : JSON.stringify(content));
  }
  return folder;
}
