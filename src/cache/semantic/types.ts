// The words of the semantic cache: what it holds, what it answers, and what is put into it from outside.

/** Entries of different partitions never meet. */
export type Partition = {
  /** The tenant, from the API key. */
  readonly namespace: string;
  /** A hash of everything that must be equal: model, system prompt, parameters, earlier turns. */
  readonly key: string;
};

export type Entry = {
  readonly id: string;
  readonly partition: Partition;
  readonly question: string;
  /** Opaque to the cache. Owned by it: not to be written to. */
  readonly answer: Uint8Array;
  readonly tags: readonly string[];
  readonly createdMs: number;
  /** When it ends; undefined never. */
  readonly expiresMs: number | undefined;
  /** How long it lives: from its making, or from its last use when `sliding`. */
  readonly ttlMs: number | undefined;
  readonly sliding: boolean;
  readonly uses: number;
  readonly lastUsedMs: number;
  /** Identity of the embedding model that made its vector. */
  readonly model: string;
};

export type NewEntry = {
  readonly question: string;
  /** As the model gave it; the cache keeps it at unit length. Undefined: found by its text only. */
  readonly vector: Float32Array | undefined;
  /** Identity of the model that made it, where it may not be the cache's any more. */
  readonly model?: string | undefined;
  readonly answer: Uint8Array;
  readonly tags?: readonly string[];
  /** Unset: the cache's own. Infinity never ends. */
  readonly ttlMs?: number | undefined;
  readonly sliding?: boolean | undefined;
};

export type Nearest = { readonly id: string; readonly similarity: number; readonly reason: string };

export type Lookup =
  | {
    readonly hit: true;
    /** `exact`: the same text, found without an embedding. */
    readonly tier: 'exact' | 'semantic';
    readonly entry: Entry;
    /** Cosine; 1 for the exact tier. */
    readonly similarity: number;
    readonly reason: string;
  }
  | { readonly hit: false; readonly nearest?: Nearest };

export type LookupOptions = {
  /** A client's wish; below the server's own threshold it changes nothing. */
  readonly thresholdMin?: number | undefined;
};

export type ListOptions = {
  readonly tag?: string | undefined;
  readonly offset?: number;
  readonly limit?: number;
  readonly olderThanMs?: number | undefined;
};

/** Oldest first; `total` counts all that match. */
export type EntryPage = { readonly entries: readonly Entry[]; readonly total: number };

/** What goes: those that match everything given. `all` must be true when nothing else is given. */
export type Selection = {
  readonly id?: string | undefined;
  readonly tag?: string | undefined;
  /** Those made longer ago than that. */
  readonly olderThanMs?: number | undefined;
  readonly all?: boolean;
};

/**
 * What makes a near neighbour a hit. `cosine`: the similarity alone. `guarded`: and no sign that the two ask for
 * different things. `verified`: the verdict decides, and the similarity only chooses whom to ask about.
 */
export type Mode = 'cosine' | 'guarded' | 'verified';

/** Whether two questions have one answer. Pure and quick: it runs on the event loop. */
export type Judge = (pair: {
  readonly question: string;
  readonly cached: string;
  readonly similarity: number;
}) => {
  readonly same: boolean;
  /** Probability that both have one answer. */
  readonly score: number;
  /** For the client that asks why. */
  readonly reason: string;
};

/** What the cache learns from feedback about one question; a state is plain JSON. arXiv 2502.03771. */
export type Learning = {
  readonly start: () => unknown;
  readonly observe: (state: unknown, similarity: number, correct: boolean) => unknown;
  /** `explore`: what was seen so far does not warrant a hit at that similarity. */
  readonly decide: (state: unknown, similarity: number) => 'exploit' | 'explore';
};

/** How many entries and bytes something holds. */
export type Amount = { readonly entries: number; readonly bytes: number };

export type NamespaceStats = Amount & { readonly namespace: string; readonly partitions: number };

export type CacheStats = Amount & {
  readonly namespaces: readonly NamespaceStats[];
  /** Searched through a graph; the others are scanned. */
  readonly entriesInGraphs: number;
  /** Made by another embedding model: found by their exact text only. */
  readonly entriesOfOtherModels: number;
  readonly hitsExact: number;
  readonly hitsSemantic: number;
  readonly misses: number;
  /** Misses with a neighbour above the threshold that the verdict refused. */
  readonly refused: number;
  readonly falseHitsReported: number;
  readonly threshold: number;
  readonly mode: Mode;
  readonly entriesMaxPerNamespace: number;
};
