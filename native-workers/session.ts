// One onnxruntime session and the tensors it is fed with: rows of texts' token ids in, the graph's vectors out.
// Invariant: one run at a time, since runs share the input memory; a worker has one task at a time.
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { float16Value } from '../src/tensor/float16.ts';
import { openOrtSession } from './ort-session.ts';
import type { OrtSession, OrtSettings } from './ort-session.ts';
import { keepsTextsApart, replacesAlike } from './packed-checks.ts';
import { freeModel, packedDimension, packedModel } from './packed-model.ts';

export type SessionSettings = OrtSettings & {
  readonly padTokenId: number;
  /** Take the graph's own sentence vectors even where it gives token vectors, too. */
  readonly preferPooled: boolean;
  /** Change the graph, where it allows that, so that rows may hold several texts, each of that many tokens at most. */
  readonly packTokensMax?: number | undefined;
};

/** The token ids of the texts of one row, which stand one after another; more than one only where `packs` says so. */
export type TextRow = readonly Int32Array[];

export type SessionOutput = {
  /** Row after row; owned by the caller. */
  readonly vectors: Float32Array;
  /** Values in one vector. */
  readonly width: number;
  /** Vectors in one row: the longest row's tokens, or 1 when the graph pools. */
  readonly vectorsPerRow: number;
  /** True when the graph gives one vector a row by itself. */
  readonly pooled: boolean;
};

export class EmbeddingSession {
  /** The execution provider the session runs on: 'cpu', 'cuda'. */
  readonly provider: string;
  /** Why the wanted device is not used; names no path. */
  readonly fallback: string | undefined;
  /** Rows may hold several texts. */
  readonly packs: boolean;
  readonly #session: InferenceSession;
  readonly #inputs: readonly InputMemory[];
  readonly #outputName: string;
  readonly #padTokenId: number;

  private constructor(opened: OrtSession, settings: SessionSettings) {
    this.provider = opened.provider;
    this.fallback = opened.fallback;
    this.#session = opened.session;
    this.#inputs = opened.session.inputMetadata.map((input) => inputMemory(input));
    this.packs = settings.onnxBytes !== undefined || opened.session.inputMetadata.some(isPackedMask);
    this.#outputName = chooseOutput(opened.session.outputNames, settings.preferPooled);
    this.#padTokenId = settings.padTokenId;
  }

  /** Falls back to the CPU when the wanted device cannot be used. Throws a plain Error; its text may name paths. */
  static async open(settings: SessionSettings): Promise<EmbeddingSession> {
    const { packTokensMax } = settings;
    const packed = packTokensMax === undefined ? undefined : await EmbeddingSession.#openPacked(settings, packTokensMax);
    return packed ?? EmbeddingSession.#open(settings);
  }

  /** Undefined where the graph cannot be changed, or would not give the same vectors then. Never rejects. */
  static async #openPacked(settings: SessionSettings, textTokensMax: number): Promise<EmbeddingSession | undefined> {
    try {
      const packed = packedModel(settings.onnxFile);
      if (packed === undefined) return undefined;
      const { bytes: onnxBytes, replaced } = packed;
      const isSame = await replacesAlike(replaced, textTokensMax).catch(() => false);
      if (!isSame) return void freeModel(onnxBytes);
      const session = await EmbeddingSession.#open({ ...settings, onnxBytes }).finally(() => freeModel(onnxBytes));
      if (await keepsTextsApart((rows) => session.run(rows)).catch(() => false)) return session;
      await session.close();
    } catch {
      // Opened as it is, the file gives its own error, if it has one.
    }
    return undefined;
  }

  static async #open(settings: SessionSettings): Promise<EmbeddingSession> {
    const opened = await openOrtSession(settings);
    try {
      return new EmbeddingSession(opened, settings);
    } catch (error) {
      await opened.session.release();
      throw error;
    }
  }

  /** Runs the rows padded to the longest of them. Blocks the thread while it computes. */
  async run(rows: readonly TextRow[]): Promise<SessionOutput> {
    let tokens = 0;
    for (const row of rows) tokens = Math.max(tokens, lengthOf(row));
    const feeds: Record<string, Tensor> = {};
    for (const input of this.#inputs) feeds[input.name] = input.fill(rows, tokens, this.#padTokenId);
    const results = await this.#session.run(feeds, [this.#outputName]);
    const { data, dims } = results[this.#outputName]!;
    const width = dims.at(-1)!;
    const pooled = dims.length === 2;
    const vectorsPerRow = pooled ? 1 : tokens;
    const expected = pooled ? [rows.length, width] : [rows.length, tokens, width];
    if (dims.join() !== expected.join()) {
      throw new Error(`The graph gave ${this.#outputName} of shape ${dims.join()} instead of ${expected.join()}.`);
    }
    return { vectors: toFloat32(data), width, vectorsPerRow, pooled };
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

function lengthOf(row: TextRow): number {
  let tokens = 0;
  for (const ids of row) tokens += ids.length;
  return tokens;
}

function isPackedMask(input: InferenceSession.ValueMetadata): boolean {
  return input.name === 'attention_mask' && input.isTensor && input.shape.includes(packedDimension);
}

/** Token vectors before pooled ones: those can be pooled as the request and the manifest say. */
function chooseOutput(names: readonly string[], preferPooled: boolean): string {
  const known = ['last_hidden_state', 'token_embeddings', 'sentence_embedding'];
  if (preferPooled) known.reverse();
  const name = known.find((candidate) => names.includes(candidate)) ?? names[0];
  if (name === undefined || name === 'logits') {
    throw new Error(`The graph gives ${names.join(', ') || 'nothing'}, which are no embeddings.`);
  }
  return name;
}

function inputMemory(input: InferenceSession.ValueMetadata): InputMemory {
  if (!Object.hasOwn(fillers, input.name)) {
    throw new Error(`The graph asks for ${input.name}, which is no input of an embedding model.`);
  }
  if (!input.isTensor || (input.type !== 'int64' && input.type !== 'int32')) {
    throw new Error(`The graph asks for ${input.name} in a type that is neither int64 nor int32.`);
  }
  return new InputMemory(input.name as keyof typeof fillers, input.type);
}

/** Writes one row's numbers to `words`, the first at `at`, each `step` after the one before. */
type Filler = (words: Int32Array, at: number, step: number, row: TextRow, tokens: number, padId: number) => void;

const fillers = {
  input_ids: (words, at, step, row, tokens, padId) => {
    const end = at + tokens * step;
    for (const ids of row) for (let i = 0; i < ids.length; i++, at += step) words[at] = ids[i]!;
    for (; at < end; at += step) words[at] = padId;
  },
  attention_mask: (words, at, step, row, tokens) => {
    const end = at + tokens * step;
    // Tokens with the same number are one text.
    for (const [text, ids] of row.entries()) for (let i = 0; i < ids.length; i++, at += step) words[at] = text + 1;
    for (; at < end; at += step) words[at] = 0;
  },
  token_type_ids: (words, at, step, _row, tokens) => {
    for (let i = 0; i < tokens; i++) words[at + i * step] = 0;
  },
  position_ids: (words, at, step, _row, tokens) => {
    for (let i = 0; i < tokens; i++) words[at + i * step] = i;
  },
} as const satisfies Record<string, Filler>;

/**
 * One input's numbers, kept from run to run. int64 is written as pairs of 32-bit words, low word first; the
 * high words stay zero, since no number here is negative. BigInt for each element would cost ten times that.
 */
class InputMemory {
  readonly name: keyof typeof fillers;
  readonly #type: 'int64' | 'int32';
  #words = new Int32Array(0);

  constructor(name: keyof typeof fillers, type: 'int64' | 'int32') {
    this.name = name;
    this.#type = type;
  }

  /** A tensor of rows x tokens over this memory: valid until the next call. */
  fill(rows: readonly TextRow[], tokens: number, padTokenId: number): Tensor {
    const step = this.#type === 'int64' ? 2 : 1;
    const count = rows.length * tokens;
    if (this.#words.length < count * step) this.#words = new Int32Array(count * step * 2);
    const filler: Filler = fillers[this.name];
    for (const [i, row] of rows.entries()) filler(this.#words, i * tokens * step, step, row, tokens, padTokenId);
    const dims = [rows.length, tokens];
    if (this.#type === 'int32') return new Tensor('int32', this.#words.subarray(0, count), dims);
    return new Tensor('int64', new BigInt64Array(this.#words.buffer, 0, count), dims);
  }
}

function toFloat32(data: Tensor['data']): Float32Array {
  if (data instanceof Float32Array) return data;
  // float16 comes as its bits, or from newer versions of Node as an array that still has those bits.
  if (!ArrayBuffer.isView(data) || data.byteLength !== data.length * 2) {
    throw new Error('The graph gives vectors that are neither float32 nor float16.');
  }
  const halves = new Uint16Array(data.buffer, data.byteOffset, data.length);
  float16Values ??= Float32Array.from({ length: 0x10000 }, (_, half) => float16Value(half));
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = float16Values[halves[i]!]!;
  return values;
}

/** Every float16 by its bits, made when the first graph gives them: a table is five times as fast as arithmetic. */
let float16Values: Float32Array | undefined;
