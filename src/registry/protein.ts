// Tells encoders of proteins (ProtT5, ProtBert, ESM-2) from encoders of text, by what their tokenizers know.
import { existsSync, readdirSync, statSync, type Stats } from 'node:fs';
import path from 'node:path';
import { ManifestError, readJson, type Json } from './json-file.ts';

const aminoAcids = [...'ACDEFGHIKLMNPQRSTVWY'];
/** ProtT5 has 128 tokens with its spare ones, ESM-2 33. */
const vocabularyMax = 256;
/** A file of so few tokens is far smaller; those of texts have megabytes. */
const fileBytesMax = 512 * 1024;

/** The first folder in `directory`, by name, that holds an encoder of proteins as Hugging Face lays one out. */
export function findProteinFolder(directory: string): string | undefined {
  if (!existsSync(directory)) return undefined;
  // A bare file may be a tensor model; a link may lead to a folder.
  const isFolder = (folder: string) => statOf(folder)?.isDirectory() === true;
  const folders = readdirSync(directory).sort().map((name) => path.join(directory, name)).filter(isFolder);
  return folders.find((folder) => isKnownProtein(path.join(folder, 'tokenizer.json')));
}

/** One that cannot be read is no reason not to start: nobody has asked for that folder. */
function isKnownProtein(tokenizerFile: string): boolean {
  try {
    return isProteinTokenizer(tokenizerFile);
  } catch (error) {
    if (error instanceof ManifestError) return false;
    throw error;
  }
}

/** Whether every amino acid is a token and no small letter is, in a vocabulary that has little else. */
export function isProteinTokenizer(tokenizerFile: string): boolean {
  const stat = statOf(tokenizerFile);
  if (stat?.isFile() !== true || stat.size > fileBytesMax) return false;
  const vocabulary = (readJson(tokenizerFile)?.['model'] as Json | null | undefined)?.['vocab'];
  // A list of pairs in sentencepiece's unigram models, which mark a word's start; else an object.
  const pieces = Array.isArray(vocabulary) ? vocabulary.map((pair: unknown) => (Array.isArray(pair) ? String(pair[0]) : '')) : Object.keys(vocabulary ?? {});
  const tokens = new Set(pieces.map((piece) => piece.replace(/^(▁|Ġ|##)/, '')));
  if (tokens.size > vocabularyMax) return false;
  return aminoAcids.every((letter) => tokens.has(letter) && !tokens.has(letter.toLowerCase()));
}

/** Undefined also for what cannot be looked at, such as a link to itself: it is no reason not to start. */
function statOf(place: string): Stats | undefined {
  try {
    return statSync(place);
  } catch {
    return undefined;
  }
}
