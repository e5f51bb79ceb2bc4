// What an embedding model is, as its Hugging Face folder says: read on the main thread, used in the workers.

/** Ways to make one vector from the token vectors, in the order sentence-transformers concatenates them. */
export type PoolingMode = 'cls' | 'max' | 'mean' | 'meanSqrtLength' | 'weightedMean' | 'lastToken';

export type DenseModule = {
  readonly kind: 'dense';
  readonly weightsFile: string;
  readonly inputDimension: number;
  readonly outputDimension: number;
  readonly bias: boolean;
  readonly activation: 'identity' | 'tanh' | 'relu' | 'gelu' | 'sigmoid';
};

export type EmbeddingModule =
  | { readonly kind: 'pooling'; readonly modes: readonly PoolingMode[]; readonly includePrompt: boolean }
  | DenseModule
  | { readonly kind: 'normalize' };

/** What requests need to know of an embedding model, wherever it runs. */
export type ModelTraits = Pick<
  EmbeddingManifest,
  'name' | 'inputTokensMax' | 'modules' | 'matryoshkaDimensions' | 'prompts' | 'defaultPromptName' | 'precision' | 'protein'
> & { /** Of a model that runs here. */ readonly onnxFile?: string };

/** All a worker needs to know of a Hugging Face folder, read once on the main thread by registry/manifest.ts. */
export type EmbeddingManifest = {
  /** The id clients ask for, e.g. `sentence-transformers/all-MiniLM-L6-v2`. */
  readonly name: string;
  /** Absolute paths; never shown to a client. */
  readonly onnxFile: string;
  readonly tokenizerFile: string;
  readonly tokenizerConfigFile: string | undefined;
  /** The longest input in tokens, special tokens included. */
  readonly inputTokensMax: number;
  readonly padTokenId: number;
  readonly lowerCase: boolean;
  /**
   * In the order they apply. A graph that itself gives one vector a text has all of them inside: workers then
   * skip them. Empty when nothing but such a graph says how to pool.
   */
  readonly modules: readonly EmbeddingModule[];
  /** Dimensions the model was trained to be cut to (Matryoshka); empty for most. */
  readonly matryoshkaDimensions: readonly number[];
  /** Named prompts of config_sentence_transformers.json. */
  readonly prompts: Readonly<Record<string, string>>;
  readonly defaultPromptName: string | undefined;
  /**
   * What the file's name and operators say: 'fp32', 'fp16', 'int8' (computed in int8), 'int8-weights' (stored
   * in int8, computed in fp32), 'int4-weights'.
   */
  readonly precision: string;
  /**
   * False for dynamically quantised graphs: their scales span the whole run, so a text's vector would
   * depend on its batch mates. Such models run one text at a time.
   */
  readonly batchable: boolean;
  /** Whether its texts are proteins: the vocabulary is the amino acids and little else. */
  readonly protein: boolean;
};
