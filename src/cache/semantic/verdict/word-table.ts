// Which words are common, and which lie near in meaning: the embedding model's own vectors of single words, cut
// to a few dimensions (bench/verdict-words.ts makes the file). Read at first use; a few milliseconds.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const tableFile = fileURLToPath(new URL('../../../../../models/verdict/words.bin', import.meta.url));
export const tableMagic = 'OWT1';
export const headerBytes = 16;
/** Ranks below this hardly differ in weight; above it weight grows with the logarithm of the rank. */
const rankScale = 40;

export class WordTable {
  /** Word -> its rank by frequency. */
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #vectors: Int8Array;
  readonly #dimension: number;

  /** Layout: magic, counts of words, dimensions and bytes of words as uint32, the words, then one int8 row each. */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const [count, dimension, wordsBytes] = [4, 8, 12].map((at) => view.getUint32(at, true)) as [number, number, number];
    const words = Buffer.from(bytes.buffer, bytes.byteOffset + headerBytes, wordsBytes).toString('latin1').split('\n');
    const vectorsAt = headerBytes + wordsBytes;
    if (words.length !== count || bytes.byteLength !== vectorsAt + count * dimension) {
      throw new Error('The word table is not whole.');
    }
    this.#ranks = new Map(words.map((word, rank) => [word, rank]));
    this.#vectors = new Int8Array(bytes.buffer, bytes.byteOffset + vectorsAt, count * dimension);
    this.#dimension = dimension;
  }

  has(word: string): boolean {
    return this.#ranks.has(word);
  }

  /** How much a word tells, 0 to 1: common words little, words outside the table most. */
  weight(word: string): number {
    const rank = this.#ranks.get(word);
    if (rank === undefined) return 1;
    return Math.log(1 + rank / rankScale) / Math.log(1 + this.#ranks.size / rankScale);
  }

  /** Cosine of two words; 0 when one is not in the table. */
  similarity(a: string, b: string): number {
    const [rankA, rankB] = [this.#ranks.get(a), this.#ranks.get(b)];
    if (rankA === undefined || rankB === undefined) return 0;
    const vectors = this.#vectors;
    let [dot, squareA, squareB] = [0, 0, 0];
    for (let i = 0, atA = rankA * this.#dimension, atB = rankB * this.#dimension; i < this.#dimension; i++, atA++, atB++) {
      const [x, y] = [vectors[atA]!, vectors[atB]!];
      dot += x * y;
      squareA += x * x;
      squareB += y * y;
    }
    return squareA === 0 || squareB === 0 ? 0 : dot / Math.sqrt(squareA * squareB);
  }
}

let table: WordTable | undefined;

/** The table of the package. */
export function wordTable(): WordTable {
  table ??= new WordTable(readFileSync(tableFile));
  return table;
}
