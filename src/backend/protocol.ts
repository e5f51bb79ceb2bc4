// The thread boundary: what the main thread and a worker of native-workers/ say to each other.
// Errors cross as data, since structured clone loses an error's class and code.
import type { ErrorCode } from '../errors.ts';
import type { EmbeddingManifest } from './manifest.ts';

/** One text, or the token ids of one text as the client made them; a prompt goes before texts only. */
export type EmbedInput = string | Int32Array;

/**
 * How one input is embedded. Requests that want the same share one frozen object, so structured clone
 * sends it once a batch.
 */
export type EmbedOptions = {
  /** Put before the text; '' for none. Its tokens are pooled unless the model says otherwise. */
  readonly prompt: string;
  /** Which end keeps its tokens when the input exceeds the model's length. */
  readonly truncation: 'right' | 'left';
  /** The vector is cut to this many leading values, then normalised again; 0 keeps all. */
  readonly dimension: number;
  /** `true` scales to unit length; `undefined` leaves it to the model's own modules. */
  readonly normalize: boolean | undefined;
};

/** What a session run costs, learnt by probes at load. */
export type RunCost = {
  /** Padded tokens in a run above which the tokens per second fall. */
  readonly tokensMax: number;
  /** What starting a run costs, in tokens: an input joins a run only if that is cheaper than one of its own. */
  readonly overheadTokens: number;
};

/** A micro-batch. `options[i]` belongs to `inputs[i]`. */
export type EmbedTask = {
  readonly kind: 'embed';
  readonly inputs: readonly EmbedInput[];
  readonly options: readonly EmbedOptions[];
  readonly runCost: RunCost;
};

/** Times a session on made-up tokens, so that the batcher learns the best run size. */
export type ProbeTask = { readonly kind: 'probe'; readonly count: number; readonly tokens: number };

/** Tells what the worker loaded, or why it could not: a failed load is a value, never a thrown error. */
export type DescribeTask = { readonly kind: 'describe' };

export type WorkerTask = EmbedTask | ProbeTask | DescribeTask;

export type Failure = {
  readonly ok: false;
  readonly code: ErrorCode;
  /** A client may see it. */
  readonly detail: string;
  /** The native error's own text, for the log only: it may name paths. */
  readonly cause?: string;
};

export type EmbedReply = {
  readonly ok: true;
  /** `inputs.length` rows, `stride` values apart; row i holds `options[i].dimension || stride` of them. Transferred. */
  readonly rows: Float32Array;
  readonly stride: number;
  /** Tokens of each input before truncation, special tokens included; then the tokens kept. Transferred. */
  readonly tokensGiven: Int32Array;
  readonly tokensKept: Int32Array;
  readonly tokenizeMs: number;
  readonly runMs: number;
  /** The inputs of each session run it took, and the tokens run with their padding. */
  readonly runInputs: readonly number[];
  readonly tokensPadded: number;
};

export type ProbeReply = { readonly ok: true; readonly runMs: number };

export type ModelDescription = {
  readonly dimension: number;
  /** Token ids are below it; undefined where a model takes texts only. */
  readonly vocabularySize: number | undefined;
  readonly inputTokensMax: number;
  /** Inputs of any lengths run together without padding, one after another in a row (models/pack.py). */
  readonly packs: boolean;
  /** The execution provider the session runs on: 'cpu', 'cuda'; 'triton' for a session elsewhere. */
  readonly provider: string;
  /** Why a wanted device was not used; undefined when it was. */
  readonly fallback: string | undefined;
  readonly loadMs: number;
};

export type DescribeReply = ModelDescription & {
  readonly ok: true;
  /** Which of the pool's workers answers: 0 and up, in the order they started. */
  readonly worker: number;
};

export type WorkerReply = EmbedReply | ProbeReply | DescribeReply | Failure;

/** What every pool starts its workers with. */
export type PoolSettings = {
  /** Four bytes, zero at first and shared by the pool's workers: each takes the next number as its i. */
  readonly workerCounter: SharedArrayBuffer;
};

/** Posted by each worker's thread once it has loaded or failed to: from then on it may be stopped between tasks. */
export type WorkerSettled = {
  readonly settledThread: number;
  /** Absent once it has loaded. It answers with it while the pool opens, and ends itself at a task that comes later. */
  readonly failure?: Failure | undefined;
};

/** How the workers of a pool open their sessions. */
export type SessionOptions = {
  readonly intraOpThreads: number;
  readonly spinning: boolean;
  readonly arena: boolean;
  /** Wanted devices in order: 'cpu', 'cuda:0'; worker i of a pool takes entry i modulo the length. */
  readonly devices: readonly string[];
};

/** What a worker is started with (Piscina `workerData`): enough to open its own session from module top level. */
export type WorkerSettings = PoolSettings & SessionOptions & { readonly model: EmbeddingManifest };
