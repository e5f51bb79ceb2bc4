// Where the tests find models and reference data, and what they do when some is not on this machine.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { repositoryDirectory } from './repository.ts';

/** Large data that lies beside the repository, not in it. */
export function sharedDirectory(): string {
  return path.resolve(repositoryDirectory, '../shared');
}

/** A BERT of a few kilobytes with a real tokenizer, mean pooling and normalisation. */
export const tinyBertDirectory = path.join(repositoryDirectory, 'test/fixtures/tiny-bert');
/** The same kind of model with Dense modules. */
export const tinyDenseDirectory = path.join(repositoryDirectory, 'test/fixtures/tiny-dense');
/** The default model that ships with the package: weights stored as int8, computed in float32. */
export const embeddedModelDirectory = path.join(repositoryDirectory, 'models/all-MiniLM-L6-v2');
/** The full all-MiniLM-L6-v2: float32 and dynamically quantised int8. */
export const miniLmDirectory = path.join(sharedDirectory(), 'models/sentence-transformers/all-MiniLM-L6-v2');
/** A hundred texts with the token ids and vectors that sentence-transformers gives for them. */
export const miniLmReferenceFile = path.join(sharedDirectory(), 'reference/minilm-vectors.json');

/**
 * For a test's `skip`: why it cannot run here, or false. In CI a test that is silently skipped proves
 * nothing, so there the missing file is an error.
 */
export function skipUnless(...paths: readonly string[]): string | false {
  const missing = paths.find((each) => !existsSync(each));
  if (missing === undefined) return false;
  if (process.env['CI'] === 'true') throw new Error(`CI must provide ${missing}.`);
  return `needs ${path.relative(repositoryDirectory, missing)}`;
}
